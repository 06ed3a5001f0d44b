// SPDX-License-Identifier: Apache-2.0
#include "common/machine.h"

#include "common/io.h"

enum { kExitPort = 0xf4 };
enum { kMasterCommand = 0x20, kMasterData = 0x21, kSlaveCommand = 0xa0, kSlaveData = 0xa1 };
enum { kPitChannel0 = 0x40, kPitCommand = 0x43, kPitHz = 1193182 };
enum { kEndOfInterrupt = 0x20, kCascade = 2 };

_Noreturn void machine_exit(unsigned status) {
  out32(kExitPort, status);
  for (;;) __asm__ volatile("cli; hlt");
}

void pic_init(void) {
  out8(kMasterCommand, 0x11);  // start of initialization: four words, cascaded
  out8(kSlaveCommand, 0x11);
  out8(kMasterData, kIrqBase);
  out8(kSlaveData, kIrqBase + 8);
  out8(kMasterData, 1 << kCascade);  // where the slave hangs
  out8(kSlaveData, kCascade);
  out8(kMasterData, 0x01);  // 8086 mode
  out8(kSlaveData, 0x01);
  out8(kMasterData, 0xff & ~(1 << kCascade));
  out8(kSlaveData, 0xff);
}

void pic_unmask(unsigned irq) {
  uint16_t port = irq < 8 ? kMasterData : kSlaveData;
  out8(port, (uint8_t)(in8(port) & ~(1u << (irq & 7))));
}

void pic_done(unsigned vector) {
  if (vector >= kIrqBase + 8) out8(kSlaveCommand, kEndOfInterrupt);
  out8(kMasterCommand, kEndOfInterrupt);
}

void pit_start(unsigned hz) {
  unsigned divisor = kPitHz / hz;
  out8(kPitCommand, 0x34);  // channel 0, low byte then high byte, mode 2: rate generator
  out8(kPitChannel0, (uint8_t)divisor);
  out8(kPitChannel0, (uint8_t)(divisor >> 8));
}

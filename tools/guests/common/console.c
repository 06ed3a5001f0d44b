// SPDX-License-Identifier: Apache-2.0
#include "common/console.h"

#include <stdarg.h>

#include "common/format.h"
#include "common/io.h"

// Registers of the 16550, from its base port.
enum {
  kPort = 0x3f8,
  kData = kPort + 0,             // with the divisor latch open: low byte of the divisor
  kInterruptEnable = kPort + 1,  // with the divisor latch open: high byte of the divisor
  kFifoControl = kPort + 2,
  kLineControl = kPort + 3,
  kModemControl = kPort + 4,
  kLineStatus = kPort + 5,
};
enum { kDivisorLatch = 0x80, kEightBits = 0x03, kTransmitEmpty = 0x20, kReadyAndRequest = 0x03 };

void console_init(void) {
  out8(kInterruptEnable, 0);
  out8(kLineControl, kDivisorLatch);
  out8(kData, 1);  // 115200 baud
  out8(kInterruptEnable, 0);
  out8(kLineControl, kEightBits);
  out8(kFifoControl, 0x07);  // on, both queues emptied
  out8(kModemControl, kReadyAndRequest);
}

static void put(char c) {
  while (!(in8(kLineStatus) & kTransmitEmpty)) {
  }
  out8(kData, (unsigned char)c);
}

void console_write(const char* text, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (text[i] == '\n') put('\r');
    put(text[i]);
  }
}

void print(const char* text, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, text);
  size_t size = format(line, sizeof line, text, arguments);
  va_end(arguments);
  console_write(line, size);
}

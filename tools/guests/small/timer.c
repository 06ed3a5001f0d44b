// SPDX-License-Identifier: Apache-2.0
//
// The PIT's interrupts through the PIC: HLT wakes, interrupts that are off or masked wait, and a
// handler that turns interrupts on again is interrupted itself.
#include "common/io.h"
#include "small/guest.h"

enum { kHz = 1000, kSleeps = 5 };
enum { kPitChannel0 = 0x40, kPitCommand = 0x43 };
enum {
  kPicCommand = 0x20,
  kPicData = 0x21,
  kPicReadRequests = 0x0a,
  kTimerBit = 1,
  kPatience = 1000000
};

static volatile unsigned ticks, depth, deepest;
static volatile bool nest;

static unsigned pit_count(void) {
  out8(kPitCommand, 0);  // latch channel 0
  unsigned low = in8(kPitChannel0);
  return low | (unsigned)in8(kPitChannel0) << 8;
}

// Waits, without interrupts, until the counter started anew `times` times.
static void wait_periods(unsigned times) {
  for (unsigned last = pit_count(); times > 0;) {
    unsigned now = pit_count();
    if (now > last) times--;
    last = now;
  }
}

// Three periods, and until the controller has the request. True if it has.
static bool wait_requested(void) {
  wait_periods(3);
  out8(kPicCommand, kPicReadRequests);
  for (unsigned i = 0; i < kPatience; i++) {
    if (in8(kPicCommand) & kTimerBit) return true;
  }
  return false;
}

static void tick(TrapFrame* frame) {
  (void)frame;
  ticks++;
  depth++;
  if (depth > deepest) deepest = depth;
  pic_done(kIrqTimer);
  if (nest && depth < 3) {
    unsigned before = ticks;
    __asm__ volatile("sti");
    while (ticks == before) __asm__ volatile("hlt");
    __asm__ volatile("cli");
  }
  depth--;
}

static void check_halt(void) {
  ticks = 0;
  unsigned woken = 0;
  for (int i = 0; i < kSleeps; i++) {
    unsigned before = ticks;
    // STI takes effect after the next instruction: no tick can come between it and HLT.
    __asm__ volatile("sti; hlt; cli");
    if (ticks > before) woken++;
  }
  print("timer: %u sleeps, %u woken by a tick\n", kSleeps, woken);
  check(woken == kSleeps, "hlt ends with a tick, each time");
}

static void check_flag(void) {
  ticks = 0;
  check(wait_requested(), "the controller keeps a request while IF=0");
  check(ticks == 0, "no tick while IF=0");
  __asm__ volatile("sti; nop; nop; cli");
  check(ticks == 1, "one tick was waiting when interrupts were turned on");
}

static void check_mask(void) {
  out8(kPicData, in8(kPicData) | kTimerBit);
  // What was requested before the mask came is still to be taken away.
  __asm__ volatile("sti; nop; nop");
  ticks = 0;
  check(wait_requested(), "the controller keeps a request while the line is masked");
  check(ticks == 0, "no tick while the line is masked");
  pic_unmask(0);
  __asm__ volatile("nop; nop; cli");
  check(ticks > 0, "the tick comes when the mask goes");
}

static void check_nesting(void) {
  deepest = 0;
  nest = true;
  __asm__ volatile("sti; hlt; cli");
  nest = false;
  check(deepest == 3, "a handler with interrupts on is interrupted by the next tick");
  check(depth == 0, "and all of them return");
}

unsigned guest_main(void) {
  pic_init();
  trap_handle(kIrqTimer, tick);
  pit_start(kHz);
  pic_unmask(kIrqTimer - kIrqBase);
  check_halt();
  check_flag();
  check_mask();
  check_nesting();
  return finish("timer");
}

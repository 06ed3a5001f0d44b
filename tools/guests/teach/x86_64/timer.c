// SPDX-License-Identifier: Apache-2.0
//
// The timer of the local APIC, or the PIT where there is none. Both interrupt on the same vector.
#include <stdbool.h>
#include <stddef.h>

#include "arch.h"
#include "common/machine.h"

// Registers of the local APIC, from its base.
enum {
  kApicEnd = 0xb0,
  kApicSpurious = 0xf0,
  kApicTimer = 0x320,
  kApicTimerCount = 0x380,
  kApicTimerDivide = 0x3e0,
};
enum { kApicEnabled = 1 << 8, kApicPeriodic = 1 << 17, kDivideBy16 = 3, kSpuriousVector = 255 };
enum { kApicGlobalEnable = 1 << 11, kCpuidApic = 1 << 9 };

// Not calibrated: at 1 GHz, divided by 16, this is one second.
enum { kApicCountsPerSecond = 62500000 };

static volatile uint32_t* apic;

static void apic_write(unsigned offset, uint32_t value) { apic[offset / sizeof *apic] = value; }

static bool find_apic(void) {
  if (!(cpuid(1, 0).edx & kCpuidApic)) return false;
  uint64_t base = read_msr(kMsrApicBase);
  // kernel_space.c has mapped the usual place only.
  if (!(base & kApicGlobalEnable) || (base & FRAME_MASK) != APIC_ADDRESS) return false;
  apic = to_virtual(APIC_ADDRESS);
  return true;
}

void timer_start(unsigned hz) {
  pic_init();
  if (!find_apic()) {
    pit_start(hz);
    pic_unmask(kIrqTimer - kIrqBase);
    return;
  }
  apic_write(kApicSpurious, kApicEnabled | kSpuriousVector);
  apic_write(kApicTimerDivide, kDivideBy16);
  apic_write(kApicTimer, kApicPeriodic | kIrqTimer);
  apic_write(kApicTimerCount, kApicCountsPerSecond / hz);
}

void timer_done(void) {
  if (apic != NULL) {
    apic_write(kApicEnd, 0);
  } else {
    pic_done(kIrqTimer);
  }
}

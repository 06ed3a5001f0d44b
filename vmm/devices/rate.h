// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_RATE_H_
#define VMM_DEVICES_RATE_H_

#include <cstdint>

#include "gnomon/vmm/clock.h"

// Oscillators: exact conversion between guest time and their ticks, without drift.

namespace gnomon::vmm {

inline constexpr uint64_t kNsPerSecond = 1'000'000'000;

/// Whole ticks of an oscillator of `hz` (below 1 GHz) since power-on.
constexpr uint64_t ticks_at(uint64_t ns, uint64_t hz) {
  return ns / kNsPerSecond * hz + ns % kNsPerSecond * hz / kNsPerSecond;
}

/// The first nanosecond at which `tick` has passed; Clock::kNever when that is beyond all time.
constexpr uint64_t time_of_tick(uint64_t tick, uint64_t hz) {
  const uint64_t seconds = tick / hz;
  if (seconds >= Clock::kNever / kNsPerSecond) return Clock::kNever;
  return seconds * kNsPerSecond + (tick % hz * kNsPerSecond + hz - 1) / hz;
}

/// `at + ns`, at most Clock::kNever.
constexpr uint64_t time_after(uint64_t at, uint64_t ns) {
  return ns > Clock::kNever - at ? Clock::kNever : at + ns;
}

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_RATE_H_

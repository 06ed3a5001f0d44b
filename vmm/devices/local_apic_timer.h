// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_LOCAL_APIC_TIMER_H_
#define VMM_DEVICES_LOCAL_APIC_TIMER_H_

#include <cstdint>
#include <functional>

#include "gnomon/vmm/clock.h"

namespace gnomon::vmm {

/// The timer of a local APIC (SDM vol. 3, 11.5.4): counts down at 1 GHz divided, once or again and
/// again. Periods below 1 microsecond interrupt every microsecond.
class LocalApicTimer {
 public:
  /// `expired` is called when the count reaches zero while interrupts are wanted.
  LocalApicTimer(Clock& clock, std::function<void()> expired);
  void reset();

  void set_initial_count(uint32_t count);
  uint32_t initial_count() const { return initial_; }
  uint32_t current_count() const;
  /// As in the divide configuration register.
  void set_divide(uint32_t value);
  uint32_t divide() const { return divide_; }
  /// `wanted`: not masked. Without it the timer counts, but nothing happens at zero.
  void set_mode(bool periodic, bool wanted);
  /// Stops for good: a mode that is not there (TSC deadline).
  void stop() { set_initial_count(0); }

 private:
  uint64_t tick_ns() const;
  void rebase(uint32_t current);
  void schedule();
  void fire();

  Clock* clock_;
  std::function<void()> expired_;
  Clock::TimerId timer_;
  uint32_t initial_ = 0;  // 0: stopped
  uint32_t divide_ = 0;
  bool periodic_ = false;
  bool wanted_ = false;
  uint64_t start_ns_ = 0;  // when the count was the initial one; modulo 2^64
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_LOCAL_APIC_TIMER_H_

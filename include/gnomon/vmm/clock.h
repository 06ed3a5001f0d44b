// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VMM_CLOCK_H_
#define GNOMON_VMM_CLOCK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace gnomon::vmm {

/// The guest's time, in nanoseconds since power-on. It only moves when the machine moves it (with
/// the instructions that were executed, or over an idle stretch), so that runs repeat exactly.
class Clock {
 public:
  using TimerId = size_t;
  static constexpr uint64_t kNever = ~uint64_t{0};

  uint64_t now() const { return now_; }
  /// Where `advance_to` is on its way to; now() outside of it. No processor runs before that time,
  /// so a periodic timer may arm itself for its first period after it: what lies between could
  /// only repeat a request that is already pending.
  uint64_t target() const { return target_; }
  /// The earliest armed timer, or kNever.
  uint64_t next_deadline() const { return next_; }
  /// Moves time to `ns` (not back) and fires what has become due, earliest first, each with now()
  /// being its deadline; timers may arm themselves again.
  void advance_to(uint64_t ns);

  /// A timer, not armed. `fire` is called once for each time it was armed; it must not add timers.
  TimerId add_timer(std::function<void()> fire);
  /// A time that has passed is due at the next advance. Timers due together fire in the order in
  /// which they were added.
  void arm(TimerId timer, uint64_t at_ns);
  void disarm(TimerId timer) { arm(timer, kNever); }

 private:
  struct Timer {
    uint64_t at = kNever;
    std::function<void()> fire;
  };
  void find_next();

  uint64_t now_ = 0;
  uint64_t target_ = 0;
  uint64_t next_ = kNever;
  std::vector<Timer> timers_;
};

}  // namespace gnomon::vmm

#endif  // GNOMON_VMM_CLOCK_H_

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/vmm/clock.h"

#include <algorithm>
#include <utility>

namespace gnomon::vmm {

void Clock::advance_to(uint64_t ns) {
  target_ = std::max(ns, now_);
  while (next_ <= target_ && next_ != kNever) {
    const auto due = std::find_if(timers_.begin(), timers_.end(),
                                  [this](const Timer& timer) { return timer.at == next_; });
    now_ = std::max(now_, due->at);
    due->at = kNever;
    find_next();
    due->fire();
  }
  now_ = target_;
}

Clock::TimerId Clock::add_timer(std::function<void()> fire) {
  timers_.push_back({kNever, std::move(fire)});
  return timers_.size() - 1;
}

void Clock::arm(TimerId timer, uint64_t at_ns) {
  uint64_t& at = timers_[timer].at;
  const bool was_next = at == next_;
  at = at_ns;
  if (at_ns < next_) {
    next_ = at_ns;
  } else if (was_next) {
    find_next();
  }
}

void Clock::find_next() {
  next_ = kNever;
  for (const Timer& timer : timers_) next_ = std::min(next_, timer.at);
}

}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/local_apic_timer.h"

#include <algorithm>
#include <utility>

#include "vmm/devices/rate.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kShortestNs = 1000;

}  // namespace

LocalApicTimer::LocalApicTimer(Clock& clock, std::function<void()> expired)
    : clock_(&clock), expired_(std::move(expired)), timer_(clock.add_timer([this] { fire(); })) {}

void LocalApicTimer::reset() {
  initial_ = divide_ = 0;
  periodic_ = wanted_ = false;
  clock_->disarm(timer_);
}

// Bits 0, 1 and 3 together: 111 divides by 1, otherwise by 2 to the power of one more.
uint64_t LocalApicTimer::tick_ns() const {
  const unsigned code = (divide_ & 3) | (divide_ >> 1 & 4);
  return uint64_t{1} << (code == 7 ? 0 : code + 1);
}

uint32_t LocalApicTimer::current_count() const {
  if (initial_ == 0) return 0;
  const uint64_t ticks = (clock_->now() - start_ns_) / tick_ns();
  if (periodic_) return static_cast<uint32_t>(initial_ - ticks % initial_);
  return ticks >= initial_ ? 0 : static_cast<uint32_t>(initial_ - ticks);
}

void LocalApicTimer::set_initial_count(uint32_t count) {
  initial_ = count;
  start_ns_ = clock_->now();
  schedule();
}

// Goes on from this count, with the rate that is now set.
void LocalApicTimer::rebase(uint32_t current) {
  start_ns_ = clock_->now() - uint64_t{initial_ - current} * tick_ns();
}

void LocalApicTimer::set_divide(uint32_t value) {
  const uint32_t current = current_count();
  divide_ = value & 0xb;
  rebase(current);
  schedule();
}

void LocalApicTimer::set_mode(bool periodic, bool wanted) {
  const uint32_t current = current_count();
  periodic_ = periodic;
  wanted_ = wanted;
  rebase(current);
  schedule();
}

void LocalApicTimer::schedule() {
  uint64_t at = Clock::kNever;
  if (initial_ != 0 && wanted_) {
    const uint64_t now = clock_->target();
    const uint64_t passed = now - start_ns_;
    const uint64_t period = initial_ * tick_ns();
    if (periodic_) {
      at = time_after(now, period - passed % period);
      if (period < kShortestNs) at = std::max(at, time_after(now, kShortestNs));
    } else if (passed < period) {
      at = time_after(now, period - passed);
    }
  }
  clock_->arm(timer_, at);
}

void LocalApicTimer::fire() {
  expired_();
  schedule();
}

}  // namespace gnomon::vmm

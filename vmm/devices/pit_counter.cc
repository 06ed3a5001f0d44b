// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/pit_counter.h"

#include <algorithm>

namespace gnomon::vmm {
namespace {

uint32_t from_bcd(uint32_t value) {
  return (value >> 12 & 15) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 +
         (value & 15);
}

/// Of a period of mode 3.
uint64_t high_ticks(uint32_t count) { return (uint64_t{count} + 1) / 2; }

uint16_t to_bcd(uint32_t value) {
  return static_cast<uint16_t>((value / 1000 % 10) << 12 | (value / 100 % 10) << 8 |
                               (value / 10 % 10) << 4 | value % 10);
}

}  // namespace

void PitCounter::set_control(uint8_t control) {
  mode_ = control >> 1 & 7;
  if (mode_ > 5) mode_ &= 3;  // bit 2 does not matter in modes 2 and 3
  access_ = control >> 4 & 3;
  bcd_ = (control & 1) != 0;
  running_ = false;
  null_count_ = true;
  next_count_ = 0;
  switch_at_ = kNever;
  held_ = 0;
  writes_high_ = reads_high_ = false;
  latched_bytes_ = 0;
  has_status_ = false;
}

void PitCounter::write(uint8_t value, uint64_t tick) {
  settle(tick);
  uint32_t count = value;
  if (access_ == (kLow | kHigh)) {
    writes_high_ = !writes_high_;
    if (writes_high_) {
      low_byte_ = value;
      if (mode_ == 0) {  // the first byte stops counting
        held_ = 0;
        running_ = false;
      }
      return;
    }
    count = low_byte_ | uint32_t{value} << 8;
  } else if (access_ == kHigh) {
    count = uint32_t{value} << 8;
  }
  if (bcd_) count = from_bcd(count);
  if (count == 0) count = bcd_ ? 10000 : 0x10000;
  load(count, tick);
}

void PitCounter::load(uint32_t count, uint64_t tick) {
  if (is_periodic()) {
    count = std::max(count, 2u);  // 1 is not allowed
    if (running_ && gate_) {
      const uint64_t at = elapsed(tick) % count_, half = high_ticks(count_);
      next_count_ = count;
      switches_to_low_ = mode_ == 3 && at < half;
      switch_at_ = tick + (switches_to_low_ ? half : count_) - at;
      null_count_ = true;
      return;
    }
  }
  if (is_triggered()) {
    // Goes into the counter with the next trigger.
    next_count_ = count;
    null_count_ = true;
    return;
  }
  count_ = count;
  start_ = tick;
  held_ = 0;
  running_ = true;
  null_count_ = false;
}

void PitCounter::settle(uint64_t tick) {
  if (switch_at_ > tick) return;
  start_ = switch_at_ - (switches_to_low_ ? high_ticks(next_count_) : 0);
  count_ = next_count_;
  switch_at_ = kNever;
  null_count_ = false;
}

uint64_t PitCounter::elapsed(uint64_t tick) const {
  if (!running_) return 0;
  return gate_ || is_triggered() ? held_ + (tick - start_) : held_;
}

void PitCounter::set_gate(bool high, uint64_t tick) {
  settle(tick);
  if (high == gate_) return;
  if (is_triggered()) {
    gate_ = high;
    if (!high || (next_count_ == 0 && !running_)) return;
    if (next_count_ != 0) count_ = next_count_;
    start_ = tick;
    running_ = true;
    null_count_ = false;
    return;
  }
  if (high) {
    start_ = tick;
    if (is_periodic()) held_ = 0;  // a rising gate begins a new period
    if (is_periodic() && switch_at_ != kNever) {
      count_ = next_count_;
      switch_at_ = kNever;
      null_count_ = false;
    }
  } else {
    held_ = elapsed(tick);
  }
  gate_ = high;
}

bool PitCounter::out(uint64_t tick) const {
  PitCounter now = *this;
  now.settle(tick);
  if (!now.running_) return mode_ != 0;
  const uint64_t ticks = now.elapsed(tick);
  switch (mode_) {
    case 0:
    case 1: return ticks >= now.count_;
    case 2: return !gate_ || ticks % now.count_ != now.count_ - 1;
    case 3: return !gate_ || ticks % now.count_ < high_ticks(now.count_);
    default: return ticks != now.count_;  // 4 and 5: one tick low
  }
}

uint64_t PitCounter::next_rise(uint64_t tick) const {
  PitCounter now = *this;
  now.settle(tick);
  if (!now.running_ || (!gate_ && !is_triggered())) return kNever;
  if (now.switch_at_ != kNever) {
    const uint64_t low = now.next_count_ - high_ticks(now.next_count_);
    return now.switch_at_ + (now.switches_to_low_ ? low : 0);
  }
  const uint64_t ticks = now.elapsed(tick);
  if (is_periodic()) return tick + (now.count_ - ticks % now.count_);
  const uint64_t rise = mode_ < 2 ? now.count_ : now.count_ + 1;
  return ticks < rise ? tick + (rise - ticks) : kNever;
}

uint16_t PitCounter::count_at(uint64_t tick) const {
  const uint64_t ticks = elapsed(tick);
  uint64_t left;
  if (mode_ == 3) {  // counts down by two, twice in a period
    const uint64_t at = ticks % count_;
    const uint64_t half = high_ticks(count_);
    left = (count_ & ~1u) - 2 * (at < half ? at : at - half);
    if (left == 0) left = 2;
  } else if (mode_ == 2) {
    left = count_ - ticks % count_;
  } else {
    // Counts on through zero.
    const uint64_t modulus = bcd_ ? 10000 : 0x10000;
    left = (count_ + modulus - ticks % modulus) % modulus;
  }
  return bcd_ ? to_bcd(static_cast<uint32_t>(left)) : static_cast<uint16_t>(left);
}

void PitCounter::latch_count(uint64_t tick) {
  if (latched_bytes_ != 0) return;  // the first latch stays until it is read
  settle(tick);
  latched_ = count_at(tick);
  latched_bytes_ = access_ == (kLow | kHigh) ? 2 : 1;
}

void PitCounter::latch_status(uint64_t tick) {
  if (has_status_) return;
  settle(tick);
  has_status_ = true;
  status_ = static_cast<uint8_t>((out(tick) ? 0x80 : 0) | (null_count_ ? 0x40 : 0) | access_ << 4 |
                                 mode_ << 1 | (bcd_ ? 1 : 0));
}

uint8_t PitCounter::read(uint64_t tick) {
  if (has_status_) {
    has_status_ = false;
    return status_;
  }
  settle(tick);
  const uint16_t count = latched_bytes_ != 0 ? latched_ : count_at(tick);
  bool high = access_ == kHigh;
  if (access_ == (kLow | kHigh)) {
    high = reads_high_;
    reads_high_ = !reads_high_;
  }
  if (latched_bytes_ != 0) --latched_bytes_;
  return static_cast<uint8_t>(high ? count >> 8 : count);
}

}  // namespace gnomon::vmm

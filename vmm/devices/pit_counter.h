// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_PIT_COUNTER_H_
#define VMM_DEVICES_PIT_COUNTER_H_

#include <cstdint>

namespace gnomon::vmm {

/// One counter of an Intel 8254 (data sheet 231164). It keeps no running count: everything follows
/// from the tick at which counting began. Ticks are those of its clock input. A count is in the
/// counter as soon as its last byte is written, not one tick later.
class PitCounter {
 public:
  static constexpr uint64_t kNever = ~uint64_t{0};

  /// Control word for this counter (not a latch command).
  void set_control(uint8_t control);
  void write(uint8_t value, uint64_t tick);
  uint8_t read(uint64_t tick);
  void latch_count(uint64_t tick);
  void latch_status(uint64_t tick);
  void set_gate(bool high, uint64_t tick);

  bool gate() const { return gate_; }
  bool out(uint64_t tick) const;
  /// The first tick after `tick` at which OUT rises; kNever when it does not by itself.
  uint64_t next_rise(uint64_t tick) const;

 private:
  // RW field of the control word.
  static constexpr uint8_t kLow = 1, kHigh = 2;

  bool is_periodic() const { return mode_ == 2 || mode_ == 3; }
  bool is_triggered() const { return mode_ == 1 || mode_ == 5; }
  void load(uint32_t count, uint64_t tick);
  void settle(uint64_t tick);
  uint64_t elapsed(uint64_t tick) const;
  uint16_t count_at(uint64_t tick) const;

  uint8_t mode_ = 0;
  uint8_t access_ = kLow | kHigh;
  bool bcd_ = false;
  bool gate_ = true;
  bool running_ = false;      // counting, or held only by the gate
  bool null_count_ = true;    // nothing loaded since the control word, or a new count waits
  uint32_t count_ = 0x10000;  // what counting began with, 1 to 65536
  uint64_t start_ = 0;        // tick at which counting began; modulo 2^64
  uint64_t held_ = 0;         // ticks counted before the gate closed
  // Mode 2 takes a new count at the end of the period, and mode 3 at the end of its half: then.
  uint32_t next_count_ = 0;
  uint64_t switch_at_ = kNever;
  bool switches_to_low_ = false;  // at the end of the first half
  // Bytes on their way in and out.
  uint8_t low_byte_ = 0;
  bool writes_high_ = false;
  bool reads_high_ = false;
  uint8_t latched_bytes_ = 0;  // how many of the latched count are still to be read
  uint16_t latched_ = 0;
  bool has_status_ = false;
  uint8_t status_ = 0;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_PIT_COUNTER_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_RTC_H_
#define VMM_DEVICES_RTC_H_

#include <array>
#include <cstdint>

#include "gnomon/vmm/clock.h"
#include "vmm/devices/ports.h"

namespace gnomon::vmm {

/// Motorola MC146818A real-time clock with 128 bytes of CMOS memory, ports 0x70 (index; bit 7 has
/// no effect) and 0x71 (data), as a PC's firmware leaves it: BCD, 24 hours, century in byte 0x32.
class Rtc : public PortDevice {
 public:
  struct Options {
    uint64_t seconds = 0;       ///< Unix time at power-on
    uint64_t memory_bytes = 0;  ///< RAM, as bytes 0x15 to 0x5d report it
    unsigned disks = 0;
  };

  Rtc(Clock& clock, const Options& options, IrqLine irq);
  void reset();
  uint8_t read_port(uint16_t port) override;
  void write_port(uint16_t port, uint8_t value) override;

 private:
  static constexpr uint64_t kNone = ~uint64_t{0};

  void fill_memory();
  bool is_set() const;  // the guest is setting the time
  uint64_t seconds_at(uint64_t ns) const;
  uint64_t next_alarm(uint64_t after) const;
  uint8_t encode(unsigned value) const;
  unsigned decode(uint8_t cell) const;
  uint8_t encode_hour(unsigned hour) const;
  unsigned decode_hour(uint8_t cell) const;
  void show_time();
  void take_time();
  void settle();
  void schedule();
  void write_cell(uint8_t index, uint8_t value);

  Clock* clock_;
  Options options_;
  IrqLine irq_;
  Clock::TimerId timer_;
  std::array<uint8_t, 128> cells_{};
  uint8_t index_ = 0;
  // Seconds are counted from `start_seconds_` at guest time `start_ns_`; both may lie before
  // power-on, so arithmetic on start_ns_ is modulo 2^64.
  uint64_t start_seconds_ = 0;
  uint64_t start_ns_ = 0;
  uint64_t settled_ns_ = 0;  // flags of register C are right up to then
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_RTC_H_

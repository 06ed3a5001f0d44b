// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_PIT_H_
#define VMM_DEVICES_PIT_H_

#include <array>
#include <cstdint>

#include "gnomon/vmm/clock.h"
#include "vmm/devices/pit_counter.h"
#include "vmm/devices/ports.h"

namespace gnomon::vmm {

/// Intel 8254 programmable interval timer (data sheet 231164) as wired in a PC: counter 0 to IRQ 0,
/// counter 2 to the speaker. Ports 0x40 to 0x43, and system control port 0x61: gate of counter 2
/// (bit 0), speaker (bit 1), refresh toggle (bit 4), OUT of counter 2 (bit 5).
class Pit : public PortDevice {
 public:
  static constexpr uint64_t kHz = 1'193'182;

  Pit(Clock& clock, IrqLine irq);
  void reset();
  uint8_t read_port(uint16_t port) override;
  void write_port(uint16_t port, uint8_t value) override;

 private:
  uint64_t tick() const;
  void control(uint8_t value);
  void read_back(uint8_t value);
  void schedule();
  void fire();

  Clock* clock_;
  IrqLine irq_;
  Clock::TimerId timer_;
  std::array<PitCounter, 3> counters_;
  uint8_t speaker_ = 0;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_PIT_H_

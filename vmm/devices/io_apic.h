// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_IO_APIC_H_
#define VMM_DEVICES_IO_APIC_H_

#include <array>
#include <cstdint>

#include "gnomon/vmm/io_bus.h"
#include "vmm/devices/apic_bus.h"

namespace gnomon::vmm {

/// Intel 82093AA I/O APIC (data sheet 290566), version 0x11 with 24 pins. The window register is
/// only accessed as a whole; accesses to a part of it read zero and write nothing.
class IoApic : public IoHandler {
 public:
  static constexpr uint64_t kBase = 0xfec0'0000;
  static constexpr uint64_t kBytes = 0x1000;
  static constexpr unsigned kPins = 24;

  IoApic(ApicBus& bus, uint8_t id) : bus_(&bus), power_on_id_(id) { reset(); }
  void reset();
  void set_pin(unsigned pin, bool high);
  void end_of_interrupt(uint8_t vector);

  uint64_t io_read(const IoAccess& access) override;
  void io_write(const IoAccess& access, uint64_t value) override;

 private:
  uint32_t read_register() const;
  void write_register(uint32_t value);
  void serve(unsigned pin);

  ApicBus* bus_;
  uint8_t power_on_id_;
  uint8_t id_ = 0;
  uint8_t select_ = 0;
  uint32_t lines_ = 0;
  std::array<uint64_t, kPins> redirections_{};
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_IO_APIC_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_ACPI_POWER_H_
#define VMM_DEVICES_ACPI_POWER_H_

#include <array>
#include <cstdint>

#include "gnomon/vmm/board.h"
#include "gnomon/vmm/clock.h"
#include "gnomon/vmm/io_bus.h"

namespace gnomon::vmm {

/// The fixed registers of ACPI (ACPI 6.5, 4.8.3), at the ports that common virtual machines have
/// them at: PM1 status and enable, PM1 control, the power-management timer. ACPI mode is always on.
/// No event ever happens. Writing SLP_EN with sleep type 0 to PM1 control (0x2000, say) powers off,
/// which ends the machine with status 0.
class AcpiPower : public IoHandler {
 public:
  static constexpr uint16_t kPort = 0x600, kPorts = 12;
  static constexpr uint16_t kEvent = 0, kControl = 4, kTimer = 8;  ///< offsets of the registers
  static constexpr uint64_t kTimerHz = 3'579'545;

  AcpiPower(Clock& clock, MachineControl& control) : clock_(&clock), control_(&control) {}
  void reset() { bytes_ = {}; }

  uint64_t io_read(const IoAccess& access) override;
  void io_write(const IoAccess& access, uint64_t value) override;

 private:
  uint8_t byte(uint64_t offset) const;

  Clock* clock_;
  MachineControl* control_;
  std::array<uint8_t, kTimer> bytes_{};  // what was written to enable and control
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_ACPI_POWER_H_

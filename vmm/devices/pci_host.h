// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_PCI_HOST_H_
#define VMM_DEVICES_PCI_HOST_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "gnomon/vmm/io_bus.h"

namespace gnomon::vmm {

/// PCI configuration mechanism #1 (PCI Local Bus Specification 2.1, 3.7.4.1), ports 0xcf8 to 0xcff,
/// with nothing behind it but an Intel 82441FX host bridge at 0:0.0, whose configuration is fixed.
/// The byte at 0xcf9 is the reset control register of the PIIX3: writing bit 2 resets.
class PciHost : public IoHandler {
 public:
  explicit PciHost(std::function<void()> reset_machine)
      : reset_machine_(std::move(reset_machine)) {}
  void reset() { address_ = 0, reset_control_ = 0; }
  uint64_t io_read(const IoAccess& access) override;
  void io_write(const IoAccess& access, uint64_t value) override;

 private:
  std::function<void()> reset_machine_;
  uint32_t address_ = 0;
  uint8_t reset_control_ = 0;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_PCI_HOST_H_

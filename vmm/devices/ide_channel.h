// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_IDE_CHANNEL_H_
#define VMM_DEVICES_IDE_CHANNEL_H_

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "gnomon/vmm/io_bus.h"
#include "vmm/devices/ide_drive.h"
#include "vmm/devices/ports.h"

namespace gnomon::vmm {

/// An IDE channel with up to two drives: command block (eight ports, the IoHandler) and control
/// block (one port, the PortDevice). A drive that is not there reads as zero, status included.
class IdeChannel : public IoHandler, public PortDevice {
 public:
  explicit IdeChannel(IrqLine irq) : irq_(std::move(irq)) {}
  /// `unit`: 0 or 1.
  void attach(unsigned unit, std::unique_ptr<IdeDrive> drive) { drives_[unit] = std::move(drive); }
  const IdeDrive* drive(unsigned unit) const { return drives_[unit].get(); }
  void reset();

  uint64_t io_read(const IoAccess& access) override;
  void io_write(const IoAccess& access, uint64_t value) override;
  /// Alternate status and device control, whatever the port's number.
  uint8_t read_port(uint16_t port) override;
  void write_port(uint16_t port, uint8_t value) override;

 private:
  IdeDrive* selected() const { return drives_[unit_].get(); }
  uint8_t status() const;
  uint8_t read_byte(uint64_t offset);
  void write_byte(uint64_t offset, uint8_t value);
  void execute(uint8_t command);
  void update();

  IrqLine irq_;
  std::array<std::unique_ptr<IdeDrive>, 2> drives_;
  unsigned unit_ = 0;
  uint8_t control_ = 0;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_IDE_CHANNEL_H_

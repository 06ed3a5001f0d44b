// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_PORTS_H_
#define VMM_DEVICES_PORTS_H_

#include <cstdint>
#include <functional>

#include "gnomon/vmm/io_bus.h"

namespace gnomon::vmm {

/// An interrupt output of a device: called with the level of the line, also when it stays.
using IrqLine = std::function<void(bool)>;

/// A device whose registers are single bytes at fixed ports.
class PortDevice {
 public:
  virtual ~PortDevice() = default;
  virtual uint8_t read_port(uint16_t port) = 0;
  virtual void write_port(uint16_t port, uint8_t value) = 0;
};

/// Ports of such a device on a bus. Wider accesses become bytes, lowest port first, as on an 8-bit
/// bus.
class PortWindow : public IoHandler {
 public:
  PortWindow(uint16_t base, PortDevice& device) : base_(base), device_(&device) {}

  uint64_t io_read(const IoAccess& access) override {
    uint64_t value = 0;
    for (unsigned i = 0; i < access.size; ++i) {
      value |= uint64_t{device_->read_port(port(access, i))} << (8 * i);
    }
    return value;
  }
  void io_write(const IoAccess& access, uint64_t value) override {
    for (unsigned i = 0; i < access.size; ++i) {
      device_->write_port(port(access, i), static_cast<uint8_t>(value >> (8 * i)));
    }
  }

 private:
  uint16_t port(const IoAccess& access, unsigned byte) const {
    return static_cast<uint16_t>(base_ + access.offset + byte);
  }

  uint16_t base_;
  PortDevice* device_;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_PORTS_H_

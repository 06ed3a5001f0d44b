// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_SIMPLE_PORTS_H_
#define VMM_DEVICES_SIMPLE_PORTS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <utility>

#include "absl/strings/string_view.h"
#include "gnomon/vmm/board.h"
#include "gnomon/vmm/io_bus.h"

// Devices of a single port.

namespace gnomon::vmm {

/// The debug-exit port: writing v ends the machine with status v.
class DebugExit : public IoHandler {
 public:
  static constexpr uint16_t kPort = 0xf4, kPorts = 4;
  explicit DebugExit(MachineControl& control) : control_(&control) {}
  uint64_t io_read(const IoAccess&) override { return 0; }
  void io_write(const IoAccess&, uint64_t value) override {
    control_->request_exit(static_cast<int>(value));
  }

 private:
  MachineControl* control_;
};

/// Bytes written go to the console; reading gives the port's number, by which guests find it (as
/// with Bochs and QEMU).
class DebugConsole : public IoHandler {
 public:
  static constexpr uint16_t kPort = 0xe9, kPorts = 1;
  explicit DebugConsole(std::function<void(absl::string_view)> output)
      : output_(std::move(output)) {}
  uint64_t io_read(const IoAccess&) override { return kPort; }
  void io_write(const IoAccess&, uint64_t value) override {
    const char byte = static_cast<char>(value);
    if (output_) output_(absl::string_view(&byte, 1));
  }

 private:
  std::function<void(absl::string_view)> output_;
};

/// DMA page registers and the port of power-on codes, which guests write to wait: they keep their
/// values and do nothing.
class Scratch : public IoHandler {
 public:
  static constexpr uint16_t kPort = 0x80, kPorts = 16;
  void reset() { bytes_ = {}; }
  uint64_t io_read(const IoAccess& access) override {
    uint64_t value = 0;
    for (unsigned i = 0; i < access.size; ++i) {
      value |= uint64_t{bytes_[(access.offset + i) % kPorts]} << (8 * i);
    }
    return value;
  }
  void io_write(const IoAccess& access, uint64_t value) override {
    for (unsigned i = 0; i < access.size; ++i) {
      bytes_[(access.offset + i) % kPorts] = static_cast<uint8_t>(value >> (8 * i));
    }
  }

 private:
  std::array<uint8_t, kPorts> bytes_{};
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_SIMPLE_PORTS_H_

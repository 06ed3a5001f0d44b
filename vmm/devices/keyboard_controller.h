// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_KEYBOARD_CONTROLLER_H_
#define VMM_DEVICES_KEYBOARD_CONTROLLER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>

#include "absl/strings/string_view.h"
#include "vmm/devices/keyboard.h"
#include "vmm/devices/ports.h"

namespace gnomon::vmm {

/// Intel 8042 as programmed in the PS/2 (IBM PS/2 Hardware Interface Technical Reference): data at
/// port 0x60, status and commands at 0x64, and system control port 0x92. There is a keyboard and no
/// pointing device. The A20 gate is kept, and has no effect on memory.
class KeyboardController : public PortDevice {
 public:
  KeyboardController(IrqLine irq, std::function<void()> reset_machine);
  void reset();
  /// See Keyboard::type and Keyboard::press.
  size_t type(absl::string_view text);
  bool press(absl::Span<const uint8_t> scan_codes);

  uint8_t read_port(uint16_t port) override;
  void write_port(uint16_t port, uint8_t value) override;

 private:
  static constexpr size_t kCapacity = 16;

  bool has_output() const;
  uint8_t status() const;
  uint8_t take();
  void command(uint8_t value);
  void data(uint8_t value);
  void write_output_port(uint8_t value);
  void answer(uint8_t value);
  void update();

  IrqLine irq_;
  std::function<void()> reset_machine_;
  Keyboard keyboard_;
  std::array<uint8_t, 32> memory_{};  // [0] is the command byte
  std::deque<uint8_t> answers_;       // of the controller; they go before the keyboard's
  uint8_t last_ = 0;
  uint8_t pending_command_ = 0;  // waits for its byte at port 0x60
  uint8_t port_92_ = 0;
  bool a20_ = true;
  bool last_was_command_ = false;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_KEYBOARD_CONTROLLER_H_

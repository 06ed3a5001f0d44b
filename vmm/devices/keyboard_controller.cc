// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/keyboard_controller.h"

#include <utility>

namespace gnomon::vmm {
namespace {

// Command byte.
constexpr uint8_t kInterrupt = 0x01, kSystemFlag = 0x04, kKeyboardOff = 0x10, kPointerOff = 0x20,
                  kTranslate = 0x40;
// Status.
constexpr uint8_t kOutputFull = 0x01, kStatusSystem = 0x04, kWasCommand = 0x08, kUnlocked = 0x10;
// Output port, and port 0x92.
constexpr uint8_t kNotReset = 0x01, kA20 = 0x02;
constexpr uint8_t kFastReset = 0x01;

}  // namespace

KeyboardController::KeyboardController(IrqLine irq, std::function<void()> reset_machine)
    : irq_(std::move(irq)), reset_machine_(std::move(reset_machine)) {
  reset();
}

void KeyboardController::reset() {
  keyboard_.reset();
  memory_ = {};
  memory_[0] = kInterrupt | kSystemFlag | kPointerOff | kTranslate;
  answers_.clear();
  last_ = pending_command_ = 0;
  port_92_ = 0;
  a20_ = true;
  last_was_command_ = false;
  update();
}

size_t KeyboardController::type(absl::string_view text) {
  const size_t taken = keyboard_.type(text);
  update();
  return taken;
}

bool KeyboardController::press(absl::Span<const uint8_t> scan_codes) {
  const bool taken = keyboard_.press(scan_codes);
  update();
  return taken;
}

bool KeyboardController::has_output() const {
  return !answers_.empty() || ((memory_[0] & kKeyboardOff) == 0 && keyboard_.has_output());
}

uint8_t KeyboardController::status() const {
  return static_cast<uint8_t>((has_output() ? kOutputFull : 0) |
                              ((memory_[0] & kSystemFlag) != 0 ? kStatusSystem : 0) |
                              (last_was_command_ ? kWasCommand : 0) | kUnlocked);
}

void KeyboardController::update() { irq_(has_output() && (memory_[0] & kInterrupt) != 0); }

uint8_t KeyboardController::take() {
  if (!answers_.empty()) {
    last_ = answers_.front();
    answers_.pop_front();
  } else if (has_output()) {
    last_ = keyboard_.take();
  }
  irq_(false);  // the next byte is a new edge
  update();
  return last_;
}

void KeyboardController::answer(uint8_t value) {
  if (answers_.size() < kCapacity) answers_.push_back(value);
}

uint8_t KeyboardController::read_port(uint16_t port) {
  if (port == 0x92) return static_cast<uint8_t>(port_92_ | (a20_ ? kA20 : 0));
  return port == 0x60 ? take() : status();
}

void KeyboardController::write_port(uint16_t port, uint8_t value) {
  if (port == 0x92) {
    a20_ = (value & kA20) != 0;
    const bool resets = (value & ~port_92_ & kFastReset) != 0;
    port_92_ = value & kFastReset;
    if (resets) reset_machine_();
    return;
  }
  last_was_command_ = port == 0x64;
  if (last_was_command_) {
    command(value);
  } else {
    data(value);
  }
  update();
}

void KeyboardController::write_output_port(uint8_t value) {
  a20_ = (value & kA20) != 0;
  if ((value & kNotReset) == 0) reset_machine_();
}

void KeyboardController::command(uint8_t value) {
  pending_command_ = 0;
  if (value >= 0xf0) {  // pulses output lines that are 0
    if ((value & kNotReset) == 0) reset_machine_();
    return;
  }
  if (value >= 0x20 && value < 0x40) {
    answer(memory_[value & 0x1f]);
    return;
  }
  if (value >= 0x60 && value < 0x80) {
    pending_command_ = value;
    return;
  }
  switch (value) {
    case 0xa7: memory_[0] |= kPointerOff; break;
    case 0xa8: memory_[0] &= static_cast<uint8_t>(~kPointerOff); break;
    case 0xa9: answer(0x02); break;  // clock line of the pointing device stuck: none
    case 0xaa:
      memory_[0] |= kSystemFlag;
      answer(0x55);
      break;
    case 0xab: answer(0x00); break;
    case 0xad: memory_[0] |= kKeyboardOff; break;
    case 0xae: memory_[0] &= static_cast<uint8_t>(~kKeyboardOff); break;
    case 0xc0: answer(0x80); break;  // keyboard not locked
    case 0xd0:
      answer(static_cast<uint8_t>(kNotReset | (a20_ ? kA20 : 0) | (has_output() ? 0x10 : 0)));
      break;
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xd4: pending_command_ = value; break;
    case 0xdd: a20_ = false; break;
    case 0xdf: a20_ = true; break;
    default: break;
  }
}

void KeyboardController::data(uint8_t value) {
  const uint8_t command = std::exchange(pending_command_, uint8_t{0});
  if (command >= 0x60 && command < 0x80) {
    memory_[command & 0x1f] = value;
    return;
  }
  switch (command) {
    case 0xd1: write_output_port(value); break;
    // The second is for the pointing device's side; that it comes back without that mark tells a
    // guest that there is none.
    case 0xd2:
    case 0xd3: answer(value); break;
    case 0xd4: break;  // to the pointing device
    default:
      memory_[0] &= static_cast<uint8_t>(~kKeyboardOff);
      keyboard_.command(value);
      break;
  }
}

}  // namespace gnomon::vmm

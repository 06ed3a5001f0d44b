// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_KEYBOARD_H_
#define VMM_DEVICES_KEYBOARD_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace gnomon::vmm {

/// An IBM PS/2 keyboard behind a translating controller (IBM PS/2 Technical Reference, keyboard
/// section): takes commands, gives bytes. Keys give scan codes of set 1.
class Keyboard {
 public:
  void reset();
  /// A byte from the controller. Answers are queued.
  void command(uint8_t value);
  /// Scan codes of keys, all or none. False: no room, or scanning is off.
  bool press(absl::Span<const uint8_t> scan_codes);
  /// Keys that give this text on a US layout. How many characters found room; those that no key
  /// gives are taken and dropped.
  size_t type(absl::string_view text);

  bool has_output() const { return !output_.empty(); }
  uint8_t take();

 private:
  static constexpr size_t kCapacity = 64;

  void argument(uint8_t value);
  void answer(uint8_t value);

  std::deque<uint8_t> output_;
  uint8_t last_ = 0;
  uint8_t awaits_argument_of_ = 0;
  bool scanning_ = true;
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_KEYBOARD_H_

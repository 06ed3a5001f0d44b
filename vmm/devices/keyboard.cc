// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/keyboard.h"

#include "absl/container/inlined_vector.h"

namespace gnomon::vmm {
namespace {

constexpr uint8_t kAck = 0xfa, kResend = 0xfe, kSelfTestPassed = 0xaa, kEcho = 0xee;
constexpr uint8_t kSetLeds = 0xed, kScanCodeSet = 0xf0, kIdentify = 0xf2, kSetRate = 0xf3,
                  kEnable = 0xf4, kDisable = 0xf5, kDefaults = 0xf6, kRepeat = 0xfe, kReset = 0xff;

constexpr uint8_t kLeftShift = 0x2a, kLeftControl = 0x1d, kBreak = 0x80;

// Key position by scan code of set 1 from 1 on: what it gives alone and with shift.
constexpr char kPlain[] =
    "\x1b"
    "1234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
constexpr char kShifted[] =
    "\x1b"
    "!@#$%^&*()_+\b\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
static_assert(sizeof kPlain == sizeof kShifted);

using Keys = absl::InlinedVector<uint8_t, 4>;

Keys keys_for(char c) {
  if (c == '\n') c = '\r';
  if (c == 0x7f) c = '\b';
  if (c == 0) return {};
  for (uint8_t code = 1; code < sizeof kPlain; ++code) {
    const uint8_t release = code | kBreak;
    if (kPlain[code - 1] == c) return {code, release};
    if (kShifted[code - 1] == c) return {kLeftShift, code, release, kLeftShift | kBreak};
  }
  if (c > 0 && c < 27) {  // control characters
    for (uint8_t code = 1; code < sizeof kPlain; ++code) {
      if (kPlain[code - 1] != c + 'a' - 1) continue;
      return {kLeftControl, code, static_cast<uint8_t>(code | kBreak), kLeftControl | kBreak};
    }
  }
  return {};
}

}  // namespace

void Keyboard::reset() {
  output_.clear();
  last_ = awaits_argument_of_ = 0;
  scanning_ = true;
}

void Keyboard::answer(uint8_t value) {
  if (output_.size() < kCapacity) output_.push_back(value);
}

void Keyboard::argument(uint8_t value) {
  const uint8_t command = awaits_argument_of_;
  awaits_argument_of_ = 0;
  answer(kAck);
  if (command == kScanCodeSet && value == 0) answer(0x41);  // set 2, translated
}

void Keyboard::command(uint8_t value) {
  if (awaits_argument_of_ != 0 && value < kSetLeds) {
    argument(value);
    return;
  }
  awaits_argument_of_ = 0;
  switch (value) {
    case kSetLeds:
    case kScanCodeSet:
    case kSetRate:
      awaits_argument_of_ = value;
      answer(kAck);
      break;
    case kIdentify:
      answer(kAck);
      answer(0xab);
      answer(0x41);  // 0x83, translated
      break;
    case kEcho: answer(kEcho); break;
    case kEnable:
    case kDisable:
    case kDefaults:
      scanning_ = value != kDisable;
      answer(kAck);
      break;
    case kRepeat: answer(last_); break;
    case kReset:
      output_.clear();
      scanning_ = true;
      answer(kAck);
      answer(kSelfTestPassed);
      break;
    default: answer(kResend); break;
  }
}

bool Keyboard::press(absl::Span<const uint8_t> scan_codes) {
  if (!scanning_ || kCapacity - output_.size() < scan_codes.size()) return false;
  output_.insert(output_.end(), scan_codes.begin(), scan_codes.end());
  return true;
}

size_t Keyboard::type(absl::string_view text) {
  size_t taken = 0;
  while (taken < text.size() && press(keys_for(text[taken]))) ++taken;
  return taken;
}

uint8_t Keyboard::take() {
  if (output_.empty()) return last_;
  last_ = output_.front();
  output_.pop_front();
  return last_;
}

}  // namespace gnomon::vmm

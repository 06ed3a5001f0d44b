// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_CODING_H_
#define TRACES_GTRACE_CODING_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

// Numbers as bytes: little-endian of fixed size, and varints (LEB128: seven bits a byte, lowest
// first, the top bit set on all but the last).

namespace gnomon::gtrace {

template <std::unsigned_integral T>
void put_fixed(std::string& to, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    to.push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xff));
  }
}
template <std::unsigned_integral T>
T get_fixed(const char* from) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |= uint64_t{static_cast<unsigned char>(from[i])} << (8 * i);
  }
  return static_cast<T>(value);
}

inline void put_varint(std::string& to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) to.push_back(static_cast<char>((value & 0x7f) | 0x80));
  to.push_back(static_cast<char>(value));
}

/// A difference modulo 2^64, so that small ones of either sign become small numbers: 0, -1, 1, -2,
/// …
constexpr uint64_t zigzag(uint64_t difference) {
  return difference << 1 ^ (uint64_t{0} - (difference >> 63));
}
constexpr uint64_t unzigzag(uint64_t code) { return code >> 1 ^ (uint64_t{0} - (code & 1)); }

/// Takes numbers from the front of some bytes. Once something was not there, or not a number, ok()
/// is false and everything taken is 0.
class Cursor {
 public:
  explicit Cursor(absl::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool ok() const { return ok_; }
  bool at_end() const { return at_ == end_; }
  size_t left() const { return static_cast<size_t>(end_ - at_); }

  uint8_t byte() { return left() == 0 ? fail() : static_cast<uint8_t>(*at_++); }
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const uint64_t b = byte();
      if (shift == 63 && b > 1) break;
      value |= (b & 0x7f) << shift;
      if (b < 0x80) return value;
    }
    return fail();
  }
  /// A varint that is at most `most`.
  uint64_t varint_up_to(uint64_t most) {
    const uint64_t value = varint();
    return value <= most ? value : fail();
  }
  absl::string_view bytes(size_t count) {
    if (count > left()) {
      fail();
      return {};
    }
    const absl::string_view taken(at_, count);
    at_ += count;
    return taken;
  }

 private:
  uint8_t fail() {
    ok_ = false;
    at_ = end_;
    return 0;
  }

  const char* at_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_CODING_H_

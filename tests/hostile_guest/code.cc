// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile_guest/code.h"

#include <array>

namespace gnomon::vmm::hostile {
namespace {

using Bytes = std::vector<uint8_t>;

// Instructions that random bytes would seldom hit on, without their operands (the last byte before
// them is given or random).
const std::array<Bytes, 74>& openings() {
  static const std::array<Bytes, 74> kOpenings = {{
      {0x0f, 0x22, 0xd8},
      {0x0f, 0x22, 0xc0},
      {0x0f, 0x22, 0xe0},
      {0x0f, 0x22, 0xd0},
      {0x0f, 0x20, 0xc0},
      {0x0f, 0x20, 0xd8},
      {0x0f, 0x20, 0xe0},
      {0x0f, 0x22, 0xc3},
      {0x0f, 0x22, 0xdb},
      {0x0f, 0x22, 0xe3},
      {0x0f, 0x23},
      {0x0f, 0x21},
      {0x0f, 0x01, 0x38},
      {0x0f, 0x01, 0x3b},
      {0x0f, 0x01, 0x10},
      {0x0f, 0x01, 0x18},
      {0x0f, 0x01},
      {0x0f, 0x00},
      {0x0f, 0x00, 0xd8},
      {0x0f, 0x00, 0xd3},
      {0x0f, 0x06},
      {0x0f, 0x09},
      {0x0f, 0x30},
      {0x0f, 0x32},
      {0x0f, 0xa2},
      {0x0f, 0x05},
      {0x0f, 0x07},
      {0x0f, 0x34},
      {0x0f, 0x35},
      {0x48, 0x0f, 0x07},
      {0x0f, 0xae},
      {0x66, 0x0f, 0x38, 0x82},
      {0x0f, 0x02},
      {0x0f, 0x03},
      {0x0f, 0xb2},
      {0x8e},
      {0x8c},
      {0xcd},
      {0xcc},
      {0xcf},
      {0x48, 0xcf},
      {0xea},
      {0x9a},
      {0xcb},
      {0xca},
      {0xff, 0x28},
      {0xff, 0x18},
      {0x9c},
      {0x9d},
      {0xfa},
      {0xfb},
      {0xf4},
      {0xf3, 0xaa},
      {0xf3, 0xab},
      {0xf3, 0xa4},
      {0xf3, 0xa5},
      {0xf3, 0xa6},
      {0xf2, 0xae},
      {0xf3, 0x6c},
      {0xf3, 0x6e},
      {0xc8},
      {0xc9},
      {0x60},
      {0x61},
      {0xe8},
      {0xeb},
      {0x0f, 0xc7},
      {0x0f, 0xa3},
      {0x89, 0x07},
      {0x89, 0x03},
      {0xc7, 0x07},
      {0x01, 0x06},
      {0x87, 0x07},
      {0x0f, 0x01, 0xf8},
  }};
  return kOpenings;
}

void append(Bytes& to, const Bytes& from) { to.insert(to.end(), from.begin(), from.end()); }

/// Little-endian.
void append_number(Bytes& to, uint64_t n, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) to.push_back(static_cast<uint8_t>(n >> (8 * i)));
}

}  // namespace

std::vector<uint8_t> random_code(Choices& c, size_t bytes, absl::Span<const uint64_t> places,
                                 bool is64) {
  Bytes code;
  while (code.size() < bytes) {
    switch (c.below(8)) {
      case 0:
      case 1: append(code, c.pick(openings())); break;
      case 2:  // mov reg, some interesting place
        if (is64 && c.percent(50)) code.push_back(0x48);
        code.push_back(static_cast<uint8_t>(0xb8 + c.below(8)));
        append_number(code, c.pick(places) + c.below(64),
                      is64 && code.size() > 1 && code[code.size() - 2] == 0x48 ? 8 : 4);
        break;
      case 3:  // a short jump, back or ahead
        code.push_back(c.percent(50) ? 0xeb : static_cast<uint8_t>(0x70 + c.below(16)));
        code.push_back(c.byte());
        break;
      case 4:  // arithmetic on registers
        code.push_back(static_cast<uint8_t>(c.below(8) << 3 | 1));
        code.push_back(static_cast<uint8_t>(0xc0 | c.below(64)));
        break;
      case 5:  // loads and stores through registers
        code.push_back(static_cast<uint8_t>(0x88 + c.below(4)));
        code.push_back(static_cast<uint8_t>(c.below(0xc0)));
        break;
      default:
        for (uint32_t i = c.below(6); i > 0; --i) code.push_back(c.byte());
    }
  }
  code.resize(bytes);
  return code;
}

}  // namespace gnomon::vmm::hostile

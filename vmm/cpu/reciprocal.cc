// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/reciprocal.h"

namespace gnomon::vmm {
namespace {

constexpr uint32_t kSign = 0x8000'0000, kInfinity = 0x7f80'0000, kQuiet = 0x0040'0000,
                   kDefaultNan = 0xffc0'0000;
constexpr uint32_t kOne = 1u << 23;  // the leading bit of a significand

int exponent_of(uint32_t x) { return static_cast<int>(x >> 23 & 0xff); }
uint32_t significand_of(uint32_t x) { return kOne | (x & (kOne - 1)); }
bool is_nan(uint32_t x) { return (x & ~kSign) > kInfinity; }

// The number with this biased exponent if the significand is below 1, with the next one if it is 1:
// `twice` holds the significand with 25 bits after the point, more than 1/2 and at most 1, to be
// rounded to 24. Ties do not occur: the square or the product of an odd number of 25 bits is no
// power of two.
uint32_t packed(int exponent, uint64_t twice) {
  const auto rounded = static_cast<uint32_t>((twice + 1) >> 1);
  const int bits = exponent * static_cast<int>(kOne) + static_cast<int>(rounded - kOne);
  return bits < static_cast<int>(kOne) ? 0 : static_cast<uint32_t>(bits);
}

// The greatest number whose square is not above `x`, which is below 2^52.
uint64_t root(uint64_t x) {
  uint64_t r = 0;
  for (uint64_t bit = uint64_t{1} << 25; bit != 0; bit >>= 1) {
    if ((r | bit) * (r | bit) <= x) r |= bit;
  }
  return r;
}

}  // namespace

uint32_t reciprocal(uint32_t x) {
  if (is_nan(x)) return x | kQuiet;
  const uint32_t sign = x & kSign;
  const int e = exponent_of(x);
  if (e == 0) return sign | kInfinity;
  if (e == 0xff) return sign;
  return sign | packed(253 - e, (uint64_t{1} << 48) / significand_of(x));
}

uint32_t reciprocal_root(uint32_t x) {
  if (is_nan(x)) return x | kQuiet;
  const int e = exponent_of(x);
  if (e == 0) return (x & kSign) | kInfinity;
  if ((x & kSign) != 0) return kDefaultNan;
  if (e == 0xff) return 0;
  // x is s * 4^h, where s is at least 1 and below 4.
  const int odd = (e - 127) & 1;
  const int h = (e - 127 - odd) / 2;
  __extension__ using Wide = unsigned __int128;
  const auto square = static_cast<uint64_t>((Wide{1} << 73) / (significand_of(x) << odd));
  return packed(126 - h, root(square));
}

}  // namespace gnomon::vmm

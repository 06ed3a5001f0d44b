// SPDX-License-Identifier: Apache-2.0
#include "traces/generate/fixed_point.h"

#include <array>
#include <bit>

#include "traces/generate/wide.h"

namespace gnomon::generate {
namespace {

/// The largest root whose square is not above `square`, bit by bit.
constexpr uint64_t square_root(Wide square) {
  uint64_t root = 0;
  for (unsigned i = 64; i-- > 0;) {
    const uint64_t larger = root | uint64_t{1} << i;
    if (Wide{larger} * larger <= square) root = larger;
  }
  return root;
}

/// [i] is 2^(-1/2^(i+1)) with 63 fraction bits: each the root of the one before.
constexpr std::array<uint64_t, kLogBits> fractional_powers() {
  std::array<uint64_t, kLogBits> powers{};
  uint64_t last = uint64_t{1} << 62;  // one half
  for (uint64_t& power : powers) power = last = square_root(Wide{last} << 63);
  return powers;
}
constexpr std::array<uint64_t, kLogBits> kPowers = fractional_powers();

}  // namespace

uint64_t log2_fixed(uint64_t x) {
  const unsigned whole = static_cast<unsigned>(std::bit_width(x)) - 1;
  uint64_t log = whole;
  uint64_t m = x << (63 - whole);  // in [1, 2), 63 fraction bits
  // Squaring doubles the logarithm: whether the square reaches 2 is the next bit of it.
  for (unsigned i = 0; i < kLogBits; ++i) {
    const Wide square = Wide{m} * m;
    const bool two = (square >> 127) != 0;
    m = static_cast<uint64_t>(square >> (two ? 64 : 63));
    log = log << 1 | (two ? 1 : 0);
  }
  return log;
}

uint64_t inverse_power(uint64_t x, uint64_t hundredths) {
  const Wide exponent = Wide{log2_fixed(x)} * hundredths / 100;
  const Wide whole = exponent >> kLogBits;
  if (whole > kPowerBits) return 0;
  uint64_t power = uint64_t{1} << kPowerBits;
  for (unsigned i = 0; i < kLogBits; ++i) {
    const bool set = (exponent >> (kLogBits - 1 - i) & 1) != 0;
    if (set) power = static_cast<uint64_t>(Wide{power} * kPowers[i] >> 63);
  }
  return power >> static_cast<unsigned>(whole);
}

}  // namespace gnomon::generate

// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GENERATE_FIXED_POINT_H_
#define TRACES_GENERATE_FIXED_POINT_H_

#include <cstdint>

namespace gnomon::generate {

inline constexpr unsigned kLogBits = 57;    ///< fraction bits of a logarithm
inline constexpr unsigned kPowerBits = 62;  ///< fraction bits of a power: 2^62 is 1

/// log2(x) for x from 1 to 2^63, rounded down, with kLogBits fraction bits.
uint64_t log2_fixed(uint64_t x);

/// x to the power of -hundredths/100, for x from 1 and up to 1000 hundredths, with kPowerBits
/// fraction bits; off by less than 2^-50 of its value and one in the last place, so 0 when it is
/// below 2^-62.
uint64_t inverse_power(uint64_t x, uint64_t hundredths);

}  // namespace gnomon::generate

#endif  // TRACES_GENERATE_FIXED_POINT_H_

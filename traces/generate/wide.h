// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GENERATE_WIDE_H_
#define TRACES_GENERATE_WIDE_H_

#include <cstdint>

namespace gnomon::generate {

/// Twice a machine word, for products. Generators use no floating point: its results may differ
/// between compilers and processors, and a trace must not.
__extension__ using Wide = unsigned __int128;

constexpr uint64_t high_word(Wide w) { return static_cast<uint64_t>(w >> 64); }
constexpr uint64_t low_word(Wide w) { return static_cast<uint64_t>(w); }

}  // namespace gnomon::generate

#endif  // TRACES_GENERATE_WIDE_H_

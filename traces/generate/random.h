// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GENERATE_RANDOM_H_
#define TRACES_GENERATE_RANDOM_H_

#include <array>
#include <bit>
#include <cstdint>

#include "traces/generate/wide.h"

namespace gnomon::generate {

/// A bijection of 64-bit words in which every input bit reaches every output bit: the finalizer of
/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
constexpr uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}
inline constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;  ///< 2^64 divided by the golden ratio, odd

/// xoshiro256++ (Blackman, Vigna, 2019), its state filled by SplitMix64: the same numbers for the
/// same seed on every platform.
class Random {
 public:
  explicit constexpr Random(uint64_t seed) {
    for (uint64_t& word : state_) word = mix(seed += kGolden);
  }

  /// In a state of its own, not all 0: for comparison with published sequences.
  explicit constexpr Random(const std::array<uint64_t, 4>& state) : state_(state) {}

  constexpr uint64_t next() {
    const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// In [0, bound), each exactly as likely as the others; `bound` is not 0. A product with the
  /// bound has its answer in the high word; the few low words that would favour some answers are
  /// drawn again (Lemire, ACM TOMACS 29, 2019).
  constexpr uint64_t below(uint64_t bound) {
    Wide product = Wide{next()} * bound;
    if (low_word(product) < bound) [[unlikely]] {
      const uint64_t unfair = (0 - bound) % bound;
      while (low_word(product) < unfair) product = Wide{next()} * bound;
    }
    return high_word(product);
  }

  constexpr bool percent(uint64_t chance) { return below(100) < chance; }

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace gnomon::generate

#endif  // TRACES_GENERATE_RANDOM_H_

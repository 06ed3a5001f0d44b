// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GENERATE_PERMUTATION_H_
#define TRACES_GENERATE_PERMUTATION_H_

#include <bit>
#include <cstdint>

#include "traces/generate/random.h"

namespace gnomon::generate {

/// A seeded permutation of [0, size) that is computed, not stored. Rounds of steps that can each be
/// undone (multiplication by an odd number, addition, folding of high bits into low ones) permute
/// the next power of two; values outside are sent round again until they fall inside, which takes
/// less than two turns on average and leaves a permutation.
class Permutation {
 public:
  /// `size` is not 0.
  Permutation(uint64_t size, uint64_t seed) : size_(size) {
    const unsigned bits = static_cast<unsigned>(std::bit_width(size - 1));
    mask_ = bits == 0 ? 0 : ~uint64_t{0} >> (64 - bits);
    fold_ = (bits + 1) / 2 + (bits == 0);
    Random random(seed);
    for (Round& round : rounds_) round = {random.next() | 1, random.next()};
  }

  uint64_t size() const { return size_; }
  uint64_t operator()(uint64_t i) const {
    do {
      for (const Round& round : rounds_) {
        i = (i * round.factor + round.summand) & mask_;
        i ^= i >> fold_;
      }
    } while (i >= size_);
    return i;
  }

 private:
  struct Round {
    uint64_t factor = 1, summand = 0;
  };
  uint64_t size_, mask_;
  unsigned fold_;
  Round rounds_[3];
};

}  // namespace gnomon::generate

#endif  // TRACES_GENERATE_PERMUTATION_H_

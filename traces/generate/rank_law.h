// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GENERATE_RANK_LAW_H_
#define TRACES_GENERATE_RANK_LAW_H_

#include <cstdint>
#include <vector>

#include "traces/generate/random.h"
#include "traces/generate/wide.h"

namespace gnomon::generate {

/// Draws an index with given weights in constant time (Walker 1977; built as by Vose, 1991). Each
/// index has a slot of equal width, of which the front is its own and the rest is another's. Shares
/// are rounded to 2^-32 of a slot.
class AliasTable {
 public:
  /// Fewer than 2^18 weights, their sum not 0.
  explicit AliasTable(std::vector<Wide> weights);

  /// One product gives the slot (high word) and the place in it (low word).
  uint32_t draw(Random& random) const {
    const Wide product = Wide{random.next()} * slots_.size();
    const auto at = static_cast<uint32_t>(high_word(product));
    const Slot& slot = slots_[at];
    // No branch: it could not be predicted.
    const auto place = static_cast<uint32_t>(low_word(product) >> 32);
    const uint32_t mask = 0 - static_cast<uint32_t>(place >= slot.own);
    return at ^ ((at ^ slot.other) & mask);
  }

 private:
  struct Slot {
    uint32_t own = 0, other = 0;
  };
  std::vector<Slot> slots_;
};

/// How often each rank is drawn, rank 1 the most often.
enum class Law : uint8_t {
  kZipf,        ///< as rank^-s
  kLogUniform,  ///< as log(rank + 1) - log(rank): the integer part of a number whose logarithm is
                ///< uniform
};

/// Ranks 1 to `ranks` under a law. The first 65535 have a weight each. Those beyond are taken
/// together in bands 1/4096 of their rank wide: the law decides between bands, and within one all
/// are equally likely. So the tables stay below 3 MB for any number of ranks.
class RankLaw {
 public:
  /// Up to 2^34 ranks; `hundredths` is 100 s, up to 1000, for kZipf.
  RankLaw(Law law, uint64_t ranks, uint64_t hundredths);

  uint64_t draw(Random& random) const {
    const uint32_t i = table_.draw(random);
    if (i < kSingle) [[likely]]
      return uint64_t{i} + 1;
    const Band& band = bands_[i - kSingle];
    return band.first + random.below(band.width);
  }

 private:
  static constexpr uint64_t kSingle = (1u << 16) - 1;
  struct Band {
    uint64_t first, width;
  };
  static std::vector<Band> bands_of(uint64_t ranks);
  static std::vector<Wide> weights_of(Law law, uint64_t ranks, uint64_t hundredths,
                                      const std::vector<Band>& bands);

  std::vector<Band> bands_;
  AliasTable table_;
};

}  // namespace gnomon::generate

#endif  // TRACES_GENERATE_RANK_LAW_H_

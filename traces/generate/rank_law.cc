// SPDX-License-Identifier: Apache-2.0
#include "traces/generate/rank_law.h"

#include <algorithm>
#include <bit>

#include "traces/generate/fixed_point.h"

namespace gnomon::generate {

AliasTable::AliasTable(std::vector<Wide> weights) : slots_(weights.size()) {
  Wide total = 0;
  for (const Wide w : weights) total += w;
  // Below 2^78, so that products with the number of slots, and with 2^32, fit.
  unsigned shift = 0;
  while (total >> shift >> 78 != 0) ++shift;
  total = 0;
  for (Wide& w : weights) total += w >>= shift;

  // In units in which a slot is `total` wide.
  std::vector<uint32_t> small, large;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    weights[i] *= slots_.size();
    (weights[i] < total ? small : large).push_back(i);
    slots_[i] = {0, i};
  }
  while (!small.empty() && !large.empty()) {
    const uint32_t poor = small.back(), rich = large.back();
    small.pop_back();
    slots_[poor] = {static_cast<uint32_t>((weights[poor] << 32) / total), rich};
    weights[rich] -= total - weights[poor];
    if (weights[rich] < total) {
      large.pop_back();
      small.push_back(rich);
    }
  }
  // What is left has exactly its slot, and is its own other.
}

RankLaw::RankLaw(Law law, uint64_t ranks, uint64_t hundredths)
    : bands_(bands_of(ranks)), table_(weights_of(law, ranks, hundredths, bands_)) {}

std::vector<RankLaw::Band> RankLaw::bands_of(uint64_t ranks) {
  constexpr unsigned kBandBits = 12;
  std::vector<Band> bands;
  for (uint64_t first = kSingle + 1; first <= ranks;) {
    const uint64_t width = uint64_t{1}
                           << (static_cast<unsigned>(std::bit_width(first)) - 1 - kBandBits);
    bands.push_back({first, std::min(width, ranks - first + 1)});
    first += width;
  }
  return bands;
}

std::vector<Wide> RankLaw::weights_of(Law law, uint64_t ranks, uint64_t hundredths,
                                      const std::vector<Band>& bands) {
  const uint64_t single = std::min(ranks, kSingle);
  std::vector<Wide> weights;
  weights.reserve(single + bands.size());
  if (law == Law::kLogUniform) {
    uint64_t last = 0;
    const auto up_to = [&](uint64_t end) {
      const uint64_t log = log2_fixed(end);
      weights.push_back(log - last);
      last = log;
    };
    for (uint64_t r = 1; r <= single; ++r) up_to(r + 1);
    for (const Band& band : bands) up_to(band.first + band.width);
    return weights;
  }
  for (uint64_t r = 1; r <= single; ++r) weights.push_back(inverse_power(r, hundredths));
  // The middle of a band stands for all of it: off by less than 2^-24 of the weight.
  for (const Band& band : bands) {
    weights.push_back(Wide{inverse_power(band.first + band.width / 2, hundredths)} * band.width);
  }
  return weights;
}

}  // namespace gnomon::generate

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/tlb/array.h"

#include <bit>

namespace gnomon::tlb_internal {
namespace {

uint64_t splitmix(uint64_t& state) {
  uint64_t z = state += 0x9e37'79b9'7f4a'7c15;
  z = (z ^ z >> 30) * 0xbf58'476d'1ce4'e5b9;
  z = (z ^ z >> 27) * 0x94d0'49bb'1331'11eb;
  return z ^ z >> 31;
}

}  // namespace

TlbArray::TlbArray(const TlbStructureConfig& config, const Liveness& live, Presence& present)
    : config_(config), live_(&live), present_(&present), replacement_(config.replacement),
      ways_(config.ways == 0 ? config.entries : config.ways), sets_(config.entries / ways_),
      tags_(config.entries), entries_(config.entries), full_at_(sets_), fingerprints_(sets_, ways_) {
  if (std::has_single_bit(sets_)) {
    set_shift_ = static_cast<uint32_t>(std::countr_zero(sets_));
  } else {
    inverse_ = ~uint64_t{0} / sets_ + 1;
  }
  for (const TlbSize& s : config.sizes) {
    for (unsigned n = 0; n < kTlbSizes; ++n) {
      if (kTlbSizeOf[n] == s.size) ways_of_[n] = s.ways == 0 ? ways_ : s.ways;
    }
  }
  switch (replacement_) {
    case Replacement::kLru:
    case Replacement::kFifo:
      recency_ = Recency(sets_, ways_);
      break;
    case Replacement::kTreePlru:
      tree_leaves_ = std::bit_ceil(ways_);
      trees_.resize(sets_);
      for (uint32_t way = 0; way < ways_; ++way) {
        TreePath path{};
        for (uint32_t node = tree_leaves_ + way; node > 1; node /= 2) {
          const uint64_t bit = uint64_t{1} << (node / 2);
          path.mask |= bit;
          if (node % 2 == 0) path.away |= bit;
        }
        tree_path_.push_back(path);
      }
      break;
    case Replacement::kRandom:
      random_ = config.seed;
      break;
  }
}

void TlbArray::set_tag(uint32_t slot, uint64_t tag) {
  if (tags_[slot] != 0) present_->remove(page_of(tags_[slot]));
  if (tag != 0) present_->add(page_of(tag));
  fingerprints_.set(slot / ways_, slot % ways_, tag == 0 ? 0 : Fingerprints::of(page_of(tag)));
  tags_[slot] = tag;
}

uint32_t TlbArray::victim(uint32_t set, uint32_t ways) {
  const uint32_t first = set * ways_;
  switch (replacement_) {
    case Replacement::kLru:
    case Replacement::kFifo:
      return recency_.oldest(set, ways);
    case Replacement::kTreePlru: {
      // Follow the bits, but never into a half that has none of the allowed ways.
      const uint64_t tree = trees_[set];
      uint32_t node = 1, lowest = 0;
      for (uint32_t half = tree_leaves_ / 2; half != 0; half /= 2) {
        const bool right = (tree >> node & 1) != 0 && lowest + half < ways;
        node = 2 * node + (right ? 1 : 0);
        if (right) lowest += half;
      }
      return first + lowest;
    }
    case Replacement::kRandom: return first + static_cast<uint32_t>(splitmix(random_) % ways);
  }
  return first;
}

/// A way that holds nothing, or what nobody can find any more.
uint32_t TlbArray::find_room(uint32_t set, uint32_t ways) {
  const uint32_t first = set * ways_;
  for (uint32_t slot = first; slot < first + ways; ++slot) {
    if (!live_->alive(tags_[slot])) return slot;
  }
  if (ways == ways_) full_at_[set] = live_->epoch;
  return kNone;
}

void TlbArray::drop(uint32_t slot, Why why) {
  TlbSizeCounts& c = counts_[tags_[slot] & 3];
  ++(why == Why::kDenied ? c.denied : c.invalidations);
  set_tag(slot, 0);
  full_at_[slot / ways_] = 0;
}

void TlbArray::rename(const std::vector<uint32_t>& renamed) {
  for (uint32_t slot = 0; slot < slots(); ++slot) {
    const uint64_t context = renamed[tags_[slot] >> kContextShift];
    set_tag(slot, context == 0 ? 0 : page_of(tags_[slot]) | context << kContextShift);
  }
}

}  // namespace gnomon::tlb_internal

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/tlb/array.h"

#include <algorithm>
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

TlbArray::TlbArray(const TlbStructureConfig& config, const Liveness& live)
    : config_(config), live_(&live), replacement_(config.replacement),
      ways_(config.ways == 0 ? config.entries : config.ways), sets_(config.entries / ways_),
      tags_(config.entries), entries_(config.entries), full_at_(sets_) {
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
      stamps_.resize(config.entries);
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
  if (ways_ > kChainedAbove) {
    if (!stamps_.empty()) aged_.resize(sets_);
    heads_.assign(std::bit_ceil(2 * config.entries), kNone);
    next_.assign(config.entries, kNone);
  }
}

uint32_t TlbArray::head_of(uint64_t page) const {
  const uint64_t mixed = page * 0x9e37'79b9'7f4a'7c15;
  return static_cast<uint32_t>(mixed >> 40) & static_cast<uint32_t>(heads_.size() - 1);
}

uint32_t TlbArray::find_chained(uint64_t page, uint64_t local, uint64_t global) const {
  uint32_t lowest = kNone;
  for (uint32_t slot = heads_[head_of(page)]; slot != kNone; slot = next_[slot]) {
    if (slot < lowest && (tags_[slot] == local || tags_[slot] == global)) lowest = slot;
  }
  return lowest;
}

void TlbArray::link(uint32_t slot) {
  uint32_t& head = heads_[head_of(tags_[slot] & ((uint64_t{1} << kContextShift) - 1))];
  next_[slot] = head;
  head = slot;
}

void TlbArray::unlink(uint32_t slot) {
  uint32_t* at = &heads_[head_of(tags_[slot] & ((uint64_t{1} << kContextShift) - 1))];
  while (*at != slot) at = &next_[*at];
  *at = next_[slot];
}

// Chains hold exactly the slots whose tag is not zero.
void TlbArray::set_tag(uint32_t slot, uint64_t tag) {
  if (heads_.empty()) {
    tags_[slot] = tag;
    return;
  }
  if (tags_[slot] != 0) unlink(slot);
  tags_[slot] = tag;
  if (tag != 0) link(slot);
}

uint32_t TlbArray::oldest(uint32_t first, uint32_t ways) const {
  uint32_t least = first;
  for (uint32_t slot = first + 1; slot < first + ways; ++slot) {
    if (stamps_[slot] < stamps_[least]) least = slot;
  }
  return least;
}

uint32_t TlbArray::oldest_of_wide(uint32_t set) {
  Aged& aged = aged_[set];
  for (;;) {
    while (aged.next < aged.ways.size()) {
      const AgedWay& way = aged.ways[aged.next++];
      if (stamps_[way.slot] == way.stamp) return way.slot;
    }
    aged.ways.clear();
    aged.next = 0;
    for (uint32_t slot = set * ways_; slot < (set + 1) * ways_; ++slot) {
      aged.ways.push_back({stamps_[slot], slot});
    }
    std::sort(aged.ways.begin(), aged.ways.end(),
              [](const AgedWay& a, const AgedWay& b) { return a.stamp < b.stamp; });
  }
}

uint32_t TlbArray::victim(uint32_t set, uint32_t ways) {
  const uint32_t first = set * ways_;
  switch (replacement_) {
    case Replacement::kLru:
    case Replacement::kFifo:
      return aged_.empty() || ways != ways_ ? oldest(first, ways) : oldest_of_wide(set);
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

uint32_t TlbArray::room_for(uint32_t set, uint32_t ways) {
  if (full_at_[set] != live_->epoch) {
    const uint32_t first = set * ways_;
    for (uint32_t slot = first; slot < first + ways; ++slot) {
      if (!live_->alive(tags_[slot])) return slot;
    }
    if (ways == ways_) full_at_[set] = live_->epoch;
  }
  const uint32_t slot = victim(set, ways);
  ++counts_[tags_[slot] & 3].evictions;
  return slot;
}

uint32_t TlbArray::fill(uint64_t page, uint64_t context, uint32_t same, const TlbEntry& entry) {
  const unsigned size = page & 3;
  ++counts_[size].fills;
  const uint32_t slot = same != kNone ? same : room_for(set_of(page >> 2), ways_of_[size]);
  set_tag(slot, page | context);
  entries_[slot] = entry;
  if (replacement_ == Replacement::kFifo && same == kNone) stamps_[slot] = ++clock_;
  touch(slot);
  return slot;
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
    const uint64_t page = tags_[slot] & ((uint64_t{1} << kContextShift) - 1);
    set_tag(slot, context == 0 ? 0 : page | context << kContextShift);
  }
}

}  // namespace gnomon::tlb_internal

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TLB_LRU_MAP_H_
#define GNOMON_TLB_LRU_MAP_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gnomon/tlb/config.h"
#include "gnomon/tlb/fingerprints.h"
#include "gnomon/tlb/recency.h"

namespace gnomon::tlb_internal {

/// A small set-associative map from a nonzero 64-bit key, with LRU replacement. With no entries it
/// finds nothing and keeps nothing.
template <class Value>
class LruMap {
 public:
  explicit LruMap(WalkCacheGeometry g = {})
      : ways_(g.ways == 0 ? g.entries : g.ways),
        sets_(g.entries == 0 ? 0 : g.entries / ways_),
        keys_(g.entries),
        values_(g.entries),
        fingerprints_(sets_, ways_),
        recency_(sets_, ways_) {}

  /// `place` chooses the set.
  const Value* find(uint64_t place, uint64_t key) {
    if (used_ == 0) return nullptr;
    const uint32_t slot = slot_of(set_of(place), key);
    if (slot == kNone) return nullptr;
    recency_.use(slot);
    return &values_[slot];
  }
  void put(uint64_t place, uint64_t key, const Value& value) {
    if (sets_ == 0) return;
    const uint32_t set = set_of(place);
    uint32_t slot = slot_of(set, key);
    if (slot == kNone) {
      if (used_ < keys_.size()) slot = slot_of(set, 0);
      if (slot == kNone) {
        slot = recency_.oldest(set, ways_);
      } else {
        ++used_;
      }
      keys_[slot] = key;
      fingerprints_.set(set, slot - set * ways_, fingerprint_of(key));
    }
    recency_.use(slot);
    values_[slot] = value;
  }
  void erase(uint64_t place, uint64_t key) {
    if (used_ == 0) return;
    const uint32_t slot = slot_of(set_of(place), key);
    if (slot != kNone) erase_slot(slot);
  }
  template <class Pred>
  void erase_if(Pred&& pred) {
    for (uint32_t slot = 0; used_ != 0 && slot < keys_.size(); ++slot) {
      if (keys_[slot] != 0 && pred(keys_[slot])) erase_slot(slot);
    }
  }
  size_t used() const { return used_; }

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  // Key 0 finds the slots that hold nothing.
  static uint8_t fingerprint_of(uint64_t key) { return key == 0 ? 0 : Fingerprints::of(key); }

  uint32_t set_of(uint64_t place) const {
    return static_cast<uint32_t>(mask_ + 1 == sets_ ? place & mask_ : place % sets_);
  }
  uint32_t slot_of(uint32_t set, uint64_t key) const {
    const uint32_t first = set * ways_;
    uint32_t found = kNone;
    fingerprints_.find(set, ways_, fingerprint_of(key), [&](uint32_t way) {
      if (keys_[first + way] != key) return false;
      found = first + way;
      return true;
    });
    return found;
  }
  void erase_slot(uint32_t slot) {
    keys_[slot] = 0;
    fingerprints_.set(slot / ways_, slot % ways_, 0);
    --used_;
  }

  uint32_t ways_, sets_;
  uint32_t mask_ = std::bit_floor(sets_) - 1;  // sets_ - 1 where that is a power of two
  std::vector<uint64_t> keys_;
  std::vector<Value> values_;
  Fingerprints fingerprints_;
  Recency recency_;
  size_t used_ = 0;
};

}  // namespace gnomon::tlb_internal

#endif  // GNOMON_TLB_LRU_MAP_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TLB_RECENCY_H_
#define GNOMON_TLB_RECENCY_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gnomon::tlb_internal {

/// Which slot of a set was used longest ago, exactly. A use writes the time and no more. The times
/// of a narrow set are all looked at when somebody asks; of a wide one there is an order, which is
/// made anew when none of it holds any more: for each use that costs no more than the logarithm of
/// the number of ways, whatever the order of the uses.
class Recency {
 public:
  Recency() = default;
  Recency(uint32_t sets, uint32_t ways) : ways_(ways), used_(size_t{sets} * ways) {
    if (ways <= kNarrow) return;
    first_.assign(sets, 0);
    order_.resize(used_.size());
    for (uint32_t slot = 0; slot < order_.size(); ++slot) order_[slot].slot = slot;
  }

  void use(uint32_t slot) { used_[slot] = ++clock_; }

  /// Of the first `ways` of `set`. Those that were never used come first.
  uint32_t oldest(uint32_t set, uint32_t ways) {
    if (order_.empty() || ways != ways_) return oldest_by_time(set, ways);
    const Place* const order = order_.data() + size_t{set} * ways_;
    for (;;) {
      // What was used since has a time after all of the order.
      for (uint32_t& at = first_[set]; at < ways_; ++at) {
        if (order[at].time == used_[order[at].slot]) return order[at].slot;
      }
      put_in_order(set);
    }
  }

 private:
  static constexpr uint32_t kNarrow = 8;

  struct Place {
    uint64_t time = 0;
    uint32_t slot = 0;
  };

  uint32_t oldest_by_time(uint32_t set, uint32_t ways) const {
    const uint32_t first = set * ways_;
    uint32_t oldest = first;
    uint64_t time = used_[first];
    for (uint32_t slot = first + 1; slot < first + ways; ++slot) {
      const uint64_t used = used_[slot];
      oldest = used < time ? slot : oldest;
      time = used < time ? used : time;
    }
    return oldest;
  }

  /// All of the set were used since it was put in order, often one after the other in that order.
  void put_in_order(uint32_t set) {
    const auto begin = order_.begin() + static_cast<std::ptrdiff_t>(size_t{set} * ways_);
    const auto end = begin + ways_;
    for (auto place = begin; place != end; ++place) place->time = used_[place->slot];
    const auto earlier = [](const Place& a, const Place& b) { return a.time < b.time; };
    if (!std::is_sorted(begin, end, earlier)) std::sort(begin, end, earlier);
    first_[set] = 0;
  }

  uint32_t ways_ = 0;
  uint64_t clock_ = 0;
  std::vector<uint64_t> used_;
  // Of wide sets, one after the other: the slots in the order of their times when it was made,
  // oldest first, and the number of the first that may still be there.
  std::vector<Place> order_;
  std::vector<uint32_t> first_;
};

}  // namespace gnomon::tlb_internal

#endif  // GNOMON_TLB_RECENCY_H_

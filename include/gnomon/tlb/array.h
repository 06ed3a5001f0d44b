// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TLB_ARRAY_H_
#define GNOMON_TLB_ARRAY_H_

#include <array>
#include <cstdint>
#include <vector>

#include "gnomon/tlb/config.h"
#include "gnomon/tlb/entry.h"
#include "gnomon/tlb/fingerprints.h"
#include "gnomon/tlb/presence.h"
#include "gnomon/tlb/recency.h"

namespace gnomon {

/// The page sizes a TLB knows, as small numbers.
inline constexpr unsigned kTlbSizes = 3;
inline constexpr std::array<PageSize, kTlbSizes> kTlbSizeOf = {PageSize::k4K, PageSize::k2M,
                                                               PageSize::k1G};
constexpr unsigned size_number(PageSize size) {
  return size == PageSize::k4K ? 0 : size == PageSize::k2M ? 1 : 2;
}

/// Events of one structure for one page size.
struct TlbSizeCounts {
  uint64_t hits = 0;
  uint64_t fills = 0;          ///< entries written, also over one for the same page
  uint64_t evictions = 0;      ///< valid entries of this size that made room
  uint64_t invalidations = 0;  ///< dropped one at a time (INVLPG); flushes are counted by the Tlb
  uint64_t denied = 0;         ///< found, but without the right: dropped, and no hit
  friend bool operator==(const TlbSizeCounts&, const TlbSizeCounts&) = default;
};

namespace tlb_internal {

// A tag is one word:   63      47 46          2 1  0
//                     | context  |    vpn      | size |
// A context stands for one (machine, PCID), or for the globals of one machine, since its last
// flush. Flushing gives it another number; tags of the old number then match nothing. Context 0 is
// never given out, so that a zero word is an invalid entry, and neither is the last, which matches
// nothing.
inline constexpr unsigned kContextShift = 47;
inline constexpr uint32_t kMaxContext = (1u << 17) - 2;
inline constexpr uint64_t kNoContext = uint64_t{kMaxContext + 1} << kContextShift;
constexpr uint64_t page_of(uint64_t tag) { return tag & ((uint64_t{1} << kContextShift) - 1); }
constexpr uint64_t page_tag(Gva va, unsigned size) {
  constexpr uint64_t kVpnMask = (uint64_t{1} << 45) - 1;
  return (va.value() >> (12 + 9 * size) & (kVpnMask >> (9 * size))) << 2 | size;
}

/// The two contexts an access may hit.
struct Contexts {
  uint64_t local = 0;   // shifted into place
  uint64_t global = 0;
};

/// Which context numbers are in use, and when that last changed.
struct Liveness {
  std::vector<uint64_t> bits = std::vector<uint64_t>((kMaxContext + 2) / 64);
  uint64_t epoch = 1;

  bool alive(uint64_t tag) const {
    const uint64_t id = tag >> kContextShift;
    return (bits[id / 64] >> (id % 64) & 1) != 0;
  }
};

/// What regions of 1G may hold, in bits: one that is not set is never wrong. Kernels map themselves with
/// large pages, which on a host of smaller ones are fragments, so that there are nearly always some somewhere;
/// an access to a user's page must not search for them.
class RegionFilter {
 public:
  void add(Gva va, uint8_t bits) { bits_[row_of(va)] |= bits; }
  uint8_t at(Gva va) const { return bits_[row_of(va)]; }
  void clear(uint8_t bits) {
    for (uint8_t& row : bits_) row &= static_cast<uint8_t>(~bits);
  }

 private:
  static size_t row_of(Gva va) { return va.frame(PageSize::k1G) * 0x9e37'79b9'7f4a'7c15 >> 54; }
  std::array<uint8_t, 1024> bits_{};
};

/// One structure: sets of ways, with tags, entries and recency apart so that a search reads only what
/// it compares.
class TlbArray {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  /// `live` and `present` belong to the whole TLB.
  TlbArray(const TlbStructureConfig& config, const Liveness& live, Presence& present);

  const TlbStructureConfig& config() const { return config_; }
  bool tagged() const { return config_.tagged; }
  uint32_t sets() const { return sets_; }

  /// `vpn` modulo the number of sets: a mask, or a multiplication by the precomputed inverse, which
  /// is exact because vpn < 2^45 and sets <= 2^16.
  uint32_t set_of(uint64_t vpn) const {
    if (inverse_ == 0) return static_cast<uint32_t>(vpn) & (sets_ - 1);
    return static_cast<uint32_t>(vpn - quotient(vpn) * sets_);
  }
  uint64_t quotient(uint64_t vpn) const {
    if (inverse_ == 0) return vpn >> set_shift_;
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>(Wide{inverse_} * vpn >> 64);
  }

  /// The slot that holds `page` (a page_tag) in either context, or kNone. Should both a local and a
  /// global entry match (software made a page global without INVLPG), the lower way answers.
  uint32_t find(uint64_t page, Contexts contexts) const {
    const uint64_t local = page | contexts.local;
    const uint64_t global = page | contexts.global;
    const uint32_t set = set_of(page >> 2);
    const uint32_t first = set * ways_;
    uint32_t found = kNone;
    fingerprints_.find(set, ways_of_[page & 3], Fingerprints::of(page), [&](uint32_t way) {
      const uint64_t tag = tags_[first + way];
      if (tag != local && tag != global) return false;
      found = first + way;
      return true;
    });
    return found;
  }

  uint64_t tag(uint32_t slot) const { return tags_[slot]; }
  const TlbEntry& entry(uint32_t slot) const { return entries_[slot]; }
  uint32_t slots() const { return static_cast<uint32_t>(tags_.size()); }

  void note_hit(uint32_t slot, unsigned size) {
    ++counts_[size].hits;
    touch(slot);
  }

  /// `hits` more of the slot that was used last: the order of use stays as it is.
  void note_repeats(unsigned size, uint64_t hits) { counts_[size].hits += hits; }

  /// Writes `entry` under `page` in `context` (shifted into place): over the slot `same` that holds
  /// this page already, or where it is kNone in place of a victim.
  void fill(uint64_t page, uint64_t context, uint32_t same, const TlbEntry& entry) {
    const unsigned size = page & 3;
    ++counts_[size].fills;
    const uint32_t set = set_of(page >> 2);
    const uint32_t slot = same != kNone ? same : room_for(set, ways_of_[size]);
    if (tags_[slot] != 0) [[likely]] present_->remove(page_of(tags_[slot]));
    present_->add(page);
    fingerprints_.set(set, slot - set * ways_, Fingerprints::of(page));
    tags_[slot] = page | context;
    entries_[slot] = entry;
    if (replacement_ == Replacement::kFifo && same == kNone) recency_.use(slot);
    touch(slot);
  }
  enum class Why : uint8_t { kInvalidated, kDenied };
  void drop(uint32_t slot, Why why);

  /// Contexts were numbered anew: `renamed[old]` is the new number, 0 for dead ones.
  void rename(const std::vector<uint32_t>& renamed);

  const std::array<TlbSizeCounts, kTlbSizes>& counts() const { return counts_; }
  void reset_counts() { counts_ = {}; }

 private:
  void touch(uint32_t slot) {
    if (replacement_ == Replacement::kLru) {
      recency_.use(slot);
    } else if (replacement_ == Replacement::kTreePlru) {
      const uint32_t way = slot % ways_;
      uint64_t& tree = trees_[slot / ways_];
      tree = (tree & ~tree_path_[way].mask) | tree_path_[way].away;
    }
  }
  uint32_t room_for(uint32_t set, uint32_t ways) {
    if (full_at_[set] != live_->epoch) [[unlikely]] {
      if (const uint32_t slot = find_room(set, ways); slot != kNone) return slot;
    }
    const uint32_t slot = victim(set, ways);
    ++counts_[tags_[slot] & 3].evictions;
    return slot;
  }
  uint32_t find_room(uint32_t set, uint32_t ways);
  uint32_t victim(uint32_t set, uint32_t ways);
  void set_tag(uint32_t slot, uint64_t tag);

  TlbStructureConfig config_;
  const Liveness* live_;
  Presence* present_;
  Replacement replacement_;
  uint32_t ways_, sets_;
  uint32_t set_shift_ = 0;
  uint64_t inverse_ = 0;  // 0: the number of sets is a power of two
  std::array<uint32_t, 4> ways_of_{};

  std::vector<uint64_t> tags_;
  std::vector<TlbEntry> entries_;
  // The epoch of liveness at which every way of the set was seen valid: nothing to look for until
  // it changes.
  std::vector<uint64_t> full_at_;

  Fingerprints fingerprints_;
  Recency recency_;  // kLru: of uses; kFifo: of fills
  struct TreePath {
    uint64_t mask;  // the nodes above this way
    uint64_t away;  // their bits after a use: each points to the other half
  };
  std::vector<TreePath> tree_path_;
  std::vector<uint64_t> trees_;  // node n has children 2n and 2n+1; a set bit leads to 2n+1
  uint32_t tree_leaves_ = 0;
  uint64_t random_ = 0;
  std::array<TlbSizeCounts, kTlbSizes> counts_{};
};

}  // namespace tlb_internal
}  // namespace gnomon

#endif  // GNOMON_TLB_ARRAY_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TLB_ARRAY_H_
#define GNOMON_TLB_ARRAY_H_

#include <array>
#include <cstdint>
#include <vector>

#include "gnomon/tlb/config.h"
#include "gnomon/tlb/entry.h"

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
constexpr uint64_t page_tag(Gva va, unsigned size) {
  constexpr uint64_t kVpnMask = (uint64_t{1} << 45) - 1;
  return (va.value() >> shift_of(kTlbSizeOf[size]) & (kVpnMask >> (9 * size))) << 2 | size;
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

/// Which regions of 1G may hold something: never wrong when it says no. Kernels map themselves with pages
/// that are larger than the host's, so that there are nearly always fragments somewhere; INVLPG of a
/// user's page must not search for them.
class RegionFilter {
 public:
  void add(uint64_t region) { bits_[word_of(region)] |= bit_of(region); }
  bool may_have(uint64_t region) const { return (bits_[word_of(region)] & bit_of(region)) != 0; }
  void clear() { bits_ = {}; }

 private:
  static constexpr size_t kWords = 16;
  static size_t word_of(uint64_t region) { return mixed(region) % kWords; }
  static uint64_t bit_of(uint64_t region) { return uint64_t{1} << (mixed(region) >> 4 & 63); }
  static uint64_t mixed(uint64_t region) { return region * 0x9e37'79b9'7f4a'7c15 >> 40; }
  std::array<uint64_t, kWords> bits_{};
};

/// One structure: sets of ways, with tags, entries and recency apart so that a search reads tags
/// only.
class TlbArray {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  TlbArray(const TlbStructureConfig& config, const Liveness& live);

  const TlbStructureConfig& config() const { return config_; }
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
    if (!heads_.empty()) return find_chained(page, local, global);
    const uint32_t first = set_of(page >> 2) * ways_;
    const uint32_t ways = ways_of_[page & 3];
    for (uint32_t slot = first; slot < first + ways; ++slot) {
      if (tags_[slot] == local || tags_[slot] == global) return slot;
    }
    return kNone;
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
  /// this page already, or in place of a victim. Returns the slot.
  uint32_t fill(uint64_t page, uint64_t context, uint32_t same, const TlbEntry& entry);
  enum class Why : uint8_t { kInvalidated, kDenied };
  void drop(uint32_t slot, Why why);

  /// Contexts were numbered anew: `renamed[old]` is the new number, 0 for dead ones.
  void rename(const std::vector<uint32_t>& renamed);

  const std::array<TlbSizeCounts, kTlbSizes>& counts() const { return counts_; }
  void reset_counts() { counts_ = {}; }

 private:
  static constexpr uint32_t kChainedAbove = 16;  // wider sets are searched through hash chains

  void touch(uint32_t slot) {
    if (replacement_ == Replacement::kLru) {
      stamps_[slot] = ++clock_;
    } else if (replacement_ == Replacement::kTreePlru) {
      const uint32_t way = slot % ways_;
      uint64_t& tree = trees_[slot / ways_];
      tree = (tree & ~tree_path_[way].mask) | tree_path_[way].away;
    }
  }
  uint32_t find_chained(uint64_t page, uint64_t local, uint64_t global) const;
  uint32_t head_of(uint64_t page) const;
  void link(uint32_t slot);
  void unlink(uint32_t slot);
  uint32_t room_for(uint32_t set, uint32_t ways);
  uint32_t victim(uint32_t set, uint32_t ways);
  uint32_t oldest(uint32_t first, uint32_t ways) const;
  uint32_t oldest_of_wide(uint32_t set);
  void set_tag(uint32_t slot, uint64_t tag);

  TlbStructureConfig config_;
  const Liveness* live_;
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

  std::vector<uint64_t> stamps_;  // kLru: last use; kFifo: fill
  uint64_t clock_ = 0;
  // Wide sets: the ways in the order of their stamps as they were at some time, oldest first, from `next` on. One
  // whose stamp is still the same is older than all that were used or filled since, so it is the victim.
  struct AgedWay {
    uint64_t stamp;
    uint32_t slot;
  };
  struct Aged {
    std::vector<AgedWay> ways;
    size_t next = 0;
  };
  std::vector<Aged> aged_;  // by set; empty for narrow sets
  struct TreePath {
    uint64_t mask;  // the nodes above this way
    uint64_t away;  // their bits after a use: each points to the other half
  };
  std::vector<TreePath> tree_path_;
  std::vector<uint64_t> trees_;  // node n has children 2n and 2n+1; a set bit leads to 2n+1
  uint32_t tree_leaves_ = 0;
  uint64_t random_ = 0;

  // Hash chains over page tags without context; empty for narrow sets.
  std::vector<uint32_t> heads_, next_;
  std::array<TlbSizeCounts, kTlbSizes> counts_{};
};

}  // namespace tlb_internal
}  // namespace gnomon

#endif  // GNOMON_TLB_ARRAY_H_

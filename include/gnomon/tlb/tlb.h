// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TLB_TLB_H_
#define GNOMON_TLB_TLB_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "gnomon/tlb/array.h"
#include "gnomon/tlb/config.h"
#include "gnomon/tlb/entry.h"
#include "gnomon/x86/access.h"
#include "gnomon/x86/rules.h"

namespace gnomon {

/// Events so far. Each structure's misses are the accesses it serves that no structure of its level
/// answered.
struct TlbStatistics {
  struct Structure {
    absl::string_view name;
    uint8_t level = 0;
    uint64_t misses = 0;
    std::array<TlbSizeCounts, kTlbSizes> by_size{};  ///< 4K, 2M, 1G
  };
  std::array<uint64_t, 3> hits{};    ///< by level; [0] is unused
  std::array<uint64_t, 3> misses{};  ///< of level 1: looked up in level 2; of level 2: walked
  uint64_t flushes = 0;
  std::vector<Structure> structures;
};

/// A TLB hierarchy of one logical processor, exact with respect to its configuration: the same
/// calls give the same hits, misses and victims as a literal simulation of every set would.
///
///   auto tlb = Tlb::create(config).value();
///   if (const TlbEntry* e = tlb->lookup(va, access, pcid, rules)) …
///   else tlb->insert(va, access, translation, pcid);
///
/// Each level is searched from the smallest page size to the largest. A hit in level 2 fills level
/// 1. An entry that does not permit the access is dropped where it is met and the search goes on;
/// so is one that is not dirty when a write meets it. Addresses that are not canonical in 57 bits
/// never hit and are never kept.
class Tlb {
 public:
  static absl::StatusOr<std::unique_ptr<Tlb>> create(const TlbConfig& config);
  Tlb(const Tlb&) = delete;
  Tlb& operator=(const Tlb&) = delete;

  /// The entry that answers, valid until the next call; nullptr: walk. `hit_level()` says where it
  /// was.
  const TlbEntry* lookup(Gva va, Access access, uint16_t pcid, const PagingRules& rules) {
    if (const TlbEntry* e = hit(va, access, pcid, rules)) [[likely]] return e;
    if (pcid != pcid_) [[unlikely]] switch_to(pcid, vpid_);
    return search(va, access, rules);
  }
  /// The quick part of lookup: an answer of level 1 that has been given before. nullptr says
  /// nothing, and nothing has changed.
  const TlbEntry* hit(Gva va, Access access, uint16_t pcid, const PagingRules& rules) {
    if (pcid != pcid_) [[unlikely]] return nullptr;
    const Hint& hint = hints_[hint_index(va, access.op())];
    if (hint.page == hint_page(va, access.op()) && hint.context == hint_context_ &&
        hint.array->tag(hint.slot) == hint.tag) [[likely]] {
      const TlbEntry& e = hint.array->entry(hint.slot);
      if (permits(e, access, rules)) [[likely]] {
        hint.array->note_hit(hint.slot, hint.tag & 3);
        hit_level_ = 1;
        return &e;
      }
    }
    return nullptr;
  }
  /// Would hit() find the page, as far as its rights allow? Changes nothing.
  bool expects_hit(Gva va, AccessOp op) const {
    const Hint& hint = hints_[hint_index(va, op)];
    return hint.page == hint_page(va, op) && hint.context == hint_context_;
  }
  /// Whether fetches have level 1 for themselves: then loads and stores that hit there change nothing
  /// for them.
  bool fetches_apart() const { return fetches_apart_; }
  /// `hits` fetches more, straight after one for which hit() found the page of `va`, one of 4K, with no call in
  /// between but hits of loads and stores: what as many calls of hit() would do where fetches_apart().
  void repeat_fetch(Gva va, uint64_t hits) {
    hints_[hint_index(va, AccessOp::kFetch)].array->note_repeats(0, hits);
  }
  /// 1 or 2 after a hit, 0 after a miss.
  unsigned hit_level() const { return hit_level_; }

  /// Keeps a translation that a walk for `access` found, in the structures that serve its
  /// operation. Does nothing unless it is a cacheable one.
  void insert(Gva va, Access access, const Translation& t, uint16_t pcid);

  /// Drops what translates `va` in the context `pcid`, of any size, and if it may hold pieces of a
  /// larger guest page, all pieces within the same 1G. Global entries only with `globals` (INVLPG;
  /// not INVPCID).
  void invalidate_page(Gva va, uint16_t pcid, bool globals = true);
  void flush_pcid(uint16_t pcid);  ///< all but globals, of one PCID
  void flush_non_global();         ///< all but globals, of every PCID of this machine
  void flush_vpid();               ///< everything of this machine
  void flush_all();                ///< everything

  /// Whose translations are looked up and kept from now on: the number of a virtual machine. 0 at
  /// first.
  void set_vpid(uint16_t vpid) {
    if (vpid != vpid_) switch_to(pcid_, vpid);
  }
  uint16_t vpid() const { return vpid_; }

  TlbStatistics statistics() const;
  void reset_statistics();
  const TlbConfig& config() const { return config_; }
  /// Calls `f(structure number, entry)` for every valid entry: for auditors and displays.
  template <class F>
  void for_each(F&& f) const {
    for (size_t i = 0; i < arrays_.size(); ++i) {
      for (uint32_t slot = 0; slot < arrays_[i].slots(); ++slot) {
        if (live_.alive(arrays_[i].tag(slot))) f(i, arrays_[i].entry(slot));
      }
    }
  }

 private:
  using TlbArray = tlb_internal::TlbArray;
  using Contexts = tlb_internal::Contexts;

  // Remembers in which slot of level 1 the last access to a 4K page hit. It changes no answer: it
  // must name the slot that a search would find, which an insertion can change only by adding a
  // smaller page, or a global one of the same size beside a local one.
  struct Hint {
    uint64_t page = 0;     // see hint_page
    uint64_t context = 0;  // hint_context_ at the time
    uint64_t tag = 0;      // what the slot held
    TlbArray* array = nullptr;
    uint32_t slot = 0;
  };
  static constexpr size_t kHints = 256;

  // The banks that hold one page size for one operation in one level.
  struct Banks {
    uint8_t count = 0;
    std::array<TlbArray*, TlbConfig::kMaxStructures> array{};
  };

  explicit Tlb(const TlbConfig& config);

  static size_t hint_index(Gva va, AccessOp op) {
    return (va.frame() ^ (static_cast<size_t>(op) << 6)) % kHints;
  }
  static uint64_t hint_page(Gva va, AccessOp op) {
    return va.frame() << 2 | (static_cast<uint64_t>(op) + 1);
  }
  static bool permits(const TlbEntry& e, Access access, const PagingRules& rules) {
    return rules.allows(access, e.rights, e.key) && (!access.write() || e.dirty);
  }

  const TlbEntry* search(Gva va, Access access, const PagingRules& rules);
  const TlbEntry* search_level(unsigned level, Gva va, unsigned sizes, Access access,
                               const PagingRules& rules);
  TlbArray* bank_of(const Banks& banks, uint64_t page) {
    if (banks.count == 0) return nullptr;
    TlbArray* const first = banks.array[0];
    if (banks.count == 1) [[likely]] return first;
    return banks.array[first->quotient(page >> 2) % banks.count];
  }
  /// The sizes, as bits by number, of which something may translate `va`.
  unsigned sizes_around(Gva va) const { return 1u | (held_.at(va) & kLargeSizes); }
  enum class Kept : uint8_t { kNo, kPerhaps };  ///< whether the level has the page already
  void fill_level(unsigned level, Gva va, AccessOp op, const TlbEntry& whole, Kept kept);
  void keep(TlbArray& array, uint64_t page, const TlbEntry& entry, Kept kept);
  void forget_hints();
  void drop_fragments(Gva va, const std::array<Contexts, 2>& of);

  // Contexts (tlb_contexts.cc). Keys of context_ids_: machine, and PCID or 2^12 for its globals.
  static uint32_t context_key(uint16_t vpid, uint16_t pcid) {
    return uint32_t{vpid} << 13 | (pcid & 0xfffu);
  }
  static uint32_t globals_key(uint16_t vpid) { return uint32_t{vpid} << 13 | 1u << 12; }
  static uint16_t machine_of(uint32_t key) { return static_cast<uint16_t>(key >> 13); }
  void switch_to(uint16_t pcid, uint16_t vpid);
  uint32_t context_of(uint32_t key);
  uint32_t new_context();
  void end_context(uint32_t id);
  void end_key(uint32_t key);
  void end_untagged(bool globals);
  void flush_machine(bool globals);
  void renew_current();
  void number_contexts_anew();

  TlbConfig config_;
  tlb_internal::Liveness live_;
  tlb_internal::Presence present_;
  std::vector<TlbArray> arrays_;
  // By level, operation and size.
  std::array<std::array<std::array<Banks, kTlbSizes>, 3>, 3> banks_{};
  std::array<Hint, kHints> hints_{};
  uint64_t hint_context_ = 0;    // local context of tagged structures, and below it hint_epoch_
  uint64_t hint_epoch_ = 0;      // grows to forget all hints; 47 bits last for years
  unsigned largest_hinted_ = 0;  // size number

  uint16_t pcid_ = 0, vpid_ = 0;
  std::array<Contexts, 2> contexts_{};  // of [0] untagged and [1] tagged structures, for pcid_ and vpid_
  absl::flat_hash_map<uint32_t, uint32_t> context_ids_;  // of tagged structures, by machine and PCID
  uint32_t next_context_ = 1;
  bool has_untagged_ = false;
  bool fetches_apart_ = true;
  // By region, since the last flush of everything: the numbers of the sizes above 4K of which pages were kept; and
  // fragments, since that or a search for them.
  static constexpr uint8_t kLargeSizes = 6, kFragments = 8;
  tlb_internal::RegionFilter held_;
  // hint_page of what was searched for last, if both levels are known not to have it.
  uint64_t absent_ = 0;

  unsigned hit_level_ = 0;
  std::array<std::array<uint64_t, 3>, 3> misses_{};  // by level and operation
  uint64_t flushes_ = 0;
};

}  // namespace gnomon

#endif  // GNOMON_TLB_TLB_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TLB_WALK_CACHES_H_
#define GNOMON_TLB_WALK_CACHES_H_

#include <array>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "gnomon/base/outcome.h"
#include "gnomon/tlb/config.h"
#include "gnomon/tlb/lru_map.h"
#include "gnomon/x86/walker.h"

namespace gnomon {

/// Where a walk may begin: `table` is read at `level`. level 0: nothing cached, begin at the root.
struct CachedTable {
  unsigned level = 0;
  uint64_t table = 0;
  Rights rights = kAllRights;  ///< composed above `table`
  Gpa gpa{};  ///< nested walks: the guest-physical address of the table that `table` is the host address of
};

/// A guest-physical page and where it is: one entry of the nested dimension's TLB.
struct NestedPage {
  Hpa hpa;  ///< of the byte asked for
  PageSize size = PageSize::k4K;
  Rights rights = 0;
};

struct WalkCacheStatistics {
  std::array<uint64_t, 6> guest_hits{};  ///< by level of the entry that was cached
  uint64_t guest_misses = 0;             ///< walks that began at the root
  std::array<uint64_t, 6> host_hits{};
  uint64_t host_misses = 0;
  uint64_t nested_hits = 0, nested_misses = 0;
};

/// The paging-structure caches of one logical processor (SDM vol. 3, 4.10.3) and their relatives in
/// the nested dimension. The cache of level n holds entries that were read at level n and point to
/// a table of level n-1, keyed by the address bits that select them and by PCID, with the rights
/// composed from the root down. Only entries that are present, have their accessed flag set and map
/// no page may be kept; entries are never global. `table` means what its user says: a Gpa in a
/// native walk, an Hpa under shadow paging (or of a guest table whose host walk is already folded
/// in).
///
///   Walk<Gpa> w = cached_walk<Long4>(&caches, memory, root, va, pcid, access, rules);
class WalkCaches {
 public:
  static absl::StatusOr<std::unique_ptr<WalkCaches>> create(const WalkCacheConfig& config);

  /// The deepest cached start for a walk whose root table is of level `top`.
  template <class Format>
  CachedTable lookup(Gva va, uint16_t pcid, unsigned top) {
    for (unsigned level = 2; level <= top; ++level) {
      const uint64_t prefix = va.value() >> Format::shift(level);
      if (const Table* t = guest_[level].find(prefix, guest_key(prefix, pcid))) {
        ++statistics_.guest_hits[level];
        return {level - 1, t->table, t->rights, t->gpa};
      }
    }
    ++statistics_.guest_misses;
    return {};
  }
  /// Keeps an entry read at `level` (2..5): it points to `table`, and `rights` includes its own.
  template <class Format>
  void fill(unsigned level, Gva va, uint16_t pcid, uint64_t table, Rights rights, Gpa gpa = Gpa()) {
    const uint64_t prefix = va.value() >> Format::shift(level);
    guest_[level].put(prefix, guest_key(prefix, pcid), {table, rights, gpa});
  }

  /// As lookup, for a walk that would otherwise begin at `root`.
  template <class Format, class Addr>
  WalkStart<Addr> start(WalkStart<Addr> root, Gva va, uint16_t pcid) {
    const CachedTable c = lookup<Format>(va, pcid, root.level);
    if (c.level != 0) {
      root.level = c.level;
      root.table = Addr(c.table);
      root.rights = c.rights;
    }
    return root;
  }
  /// Keeps what the walk `w` read above its last entry. After a fault these entries have their
  /// accessed flag only if the processor sets it on the way down.
  template <class Format, class Addr>
  void remember(const Walk<Addr>& w, Gva va, uint16_t pcid, const PagingRules& rules) {
    if (!w.ok() && !rules.accessed_before_fault) return;
    for (unsigned level = w.start_level; level > w.level; --level) {
      fill<Format>(level, va, pcid, w.table[level - 1].value(), w.rights_above[level - 1]);
    }
  }

  /// The nested dimension's TLB: where the page of `gpa` is; level-1 translations of EPT or NPT.
  const NestedPage* lookup_nested(Gpa gpa);
  void fill_nested(Gpa gpa, const NestedPage& page);
  /// The deepest cached start of an EPT or NPT walk whose root is of level `top`.
  CachedTable lookup_host(Gpa gpa, unsigned top);
  void fill_host(unsigned level, Gpa gpa, uint64_t table, Rights rights);

  /// A page fault drops the entries that would be used for the address (SDM vol. 3, 4.10.4.1).
  template <class Format>
  void drop_path(Gva va, uint16_t pcid, unsigned top) {
    for (unsigned level = 2; level <= top; ++level) {
      const uint64_t prefix = va.value() >> Format::shift(level);
      guest_[level].erase(prefix, guest_key(prefix, pcid));
    }
  }
  /// INVLPG, INVPCID type 0, MOV to CR3 and INVPCID type 1 all drop every entry of the PCID,
  /// whatever the address (SDM vol. 3, 4.10.4.1).
  void flush_pcid(uint16_t pcid);
  /// All PCIDs: MOV to CR4 that changes PGE, INVPCID types 2 and 3, … . The host dimension stays,
  /// because it depends on guest-physical addresses only (28.4.3.1).
  void flush_guest();
  /// The host dimension: the nested TLB and the host paging-structure caches. Whoever keeps
  /// host-physical tables in the guest part calls flush_all instead (INVEPT drops both).
  void flush_host();
  void flush_all() {
    flush_guest();
    flush_host();
  }

  const WalkCacheStatistics& statistics() const { return statistics_; }
  void reset_statistics() { statistics_ = {}; }

 private:
  struct Table {
    uint64_t table = 0;
    Rights rights = 0;
    Gpa gpa{};
  };
  using Tables = std::array<tlb_internal::LruMap<Table>, 6>;

  explicit WalkCaches(const WalkCacheConfig& config);

  // Never zero. A prefix has at most 64 - 21 bits.
  static uint64_t guest_key(uint64_t prefix, uint16_t pcid) {
    return prefix << 13 | uint64_t{1} << 12 | (pcid & 0xfffu);
  }
  static unsigned host_shift(unsigned level) { return 12 + 9 * (level - 1); }

  Tables guest_, host_;
  tlb_internal::LruMap<NestedPage> nested_;
  uint64_t nested_sizes_ = 0;  // of the pages kept in nested_ since it was emptied: their bytes, added up
  NestedPage found_;
  WalkCacheStatistics statistics_;
};

/// The walk with the help of `caches`. The start goes in registers, as that of walk_from.
template <class Format, class M>
Walk<typename M::Address> walk_with_caches(WalkCaches& caches, M& memory, unsigned level,
                                           typename M::Address table, Rights above, Gva va,
                                           uint16_t pcid, Access access, const PagingRules& rules) {
  const WalkStart<typename M::Address> root{level, table, above};
  const auto start = caches.start<Format>(root, va, pcid);
  auto w = walk<Format>(memory, start, va, access, rules);
  if (w.status == WalkStatus::kFault && start.level != root.level) {
    caches.drop_path<Format>(va, pcid, root.level);
    w = walk<Format>(memory, root, va, access, rules);
  }
  caches.remember<Format>(w, va, pcid, rules);
  return w;
}

/// `walk` with the help of `caches` (may be null). A fault that a walk from a cached table meets drops
/// what the caches hold for the address (SDM vol. 3, 4.10.4.1) and is looked for again from the root, so
/// that entries which software made more permissive without invalidating them cause no fault.
template <class Format, class M>
[[gnu::always_inline]] inline Walk<typename M::Address> cached_walk(
    WalkCaches* caches, M& memory, WalkStart<typename M::Address> root, Gva va, uint16_t pcid,
    Access access, const PagingRules& rules) {
  if (caches == nullptr) [[likely]] return walk_inline<Format>(memory, root, va, access, rules);
  return walk_with_caches<Format>(*caches, memory, root.level, root.table, root.rights, va, pcid,
                                  access, rules);
}

}  // namespace gnomon

#endif  // GNOMON_TLB_WALK_CACHES_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_NESTED_WALK_MEMORY_H_
#define MMU_NESTED_WALK_MEMORY_H_

#include <utility>

#include "gnomon/tlb/walk_caches.h"
#include "gnomon/x86/guest_walk.h"
#include "mmu/nested/host_tables.h"

// The two dimensions of a nested walk, as table memories of the generic walker:
//
//          CR3 ──────────┐            each guest-physical address on the way (the root's, each next
//                        │            table's, the data page's) is translated by a walk of the host's
//     host L4 L3 L2 L1 ──┤            tables before what lies there can be read:
//                  guest L4 ─────┐
//     host L4 L3 L2 L1 ──────────┤      (g + 1) * (h + 1) - 1 references for g guest
//                  guest L3 ─────┐      and h host levels: 24 for 4 and 4
//            …                   │
//     host L4 L3 L2 L1 ── data page

namespace gnomon {

/// The host dimension: nested tables in host memory. They are the VMM's own, hence always there.
/// `kObserved`: VcpuState::observed(), asked once a walk, since there are 24 references to a walk.
template <bool kObserved>
class HostTableReader {
 public:
  using Address = Hpa;
  using Ref = uint8_t*;

  HostTableReader(const HostMemory& host, VcpuState& cpu, unsigned guest_level)
      : host_(host), cpu_(cpu), guest_level_(guest_level) {}

  template <class Entry>
  bool read(Hpa at, unsigned level, Ref& ref, uint64_t& value) {
    ref = host_.at<uint8_t>(at);
    value = load_entry<Entry>(ref);
    ++cpu_.counters.at_level(Counter::kWalkHostL1, level);
    if constexpr (kObserved) note(at, level, value);
    return true;
  }
  static bool prepare_write(Ref&, Hpa, unsigned) { return true; }
  template <class Entry>
  static bool exchange(Ref& ref, uint64_t expected, uint64_t desired) {
    return exchange_entry<Entry>(ref, expected, desired);
  }

 private:
  void note(Hpa at, unsigned level, uint64_t value) const {
    note_reference(cpu_, {WalkReference::Dimension::kHost, static_cast<uint8_t>(guest_level_),
                          static_cast<uint8_t>(level), at.value(), value},
                   at);
  }

  const HostMemory& host_;
  VcpuState& cpu_;
  unsigned guest_level_;
};

/// Where the host's tables say that a guest-physical address is. Small, because it is returned five times
/// in each walk.
struct HostPage {
  Hpa address;  ///< of the byte asked for; Hpa() when there was a violation
  PageSize size = PageSize::k4K;
  bool writable = false;

  bool ok() const { return address != Hpa(); }
};

/// Where the host's tables refused, and what for.
struct NestedViolation {
  Gpa at;
  unsigned level;  ///< guest level of the table there; 0 is the data page
  bool write;
};

/// The guest dimension: guest tables at guest-physical addresses, each read through the host's. `kCached`:
/// the processor has paging-structure caches (VcpuState::caches). `kKnown`: the walk may begin at a table
/// whose host address is known already. `kObserved`: as above.
template <class Flavour, bool kCached, bool kObserved, bool kKnown = kCached>
class NestedWalkMemory {
 public:
  using Format = typename Flavour::Format;
  using Address = Gpa;
  struct Ref {
    uint8_t* at;
    bool writable;  ///< through the host's tables; false also where the processor does not know
  };

  NestedWalkMemory(const HostTables<Flavour>& tables, const HostMemory& host, VcpuState& cpu)
      : host_(host), cpu_(cpu), root_(tables.root()) {}

  /// Where the guest's walk begins: at `root`, or at a table whose host address the paging-structure
  /// caches have, so that the host's walk for it is not made either.
  template <class GuestFormat>
  WalkStart<Gpa> start(WalkStart<Gpa> root, Gva va) {
    if constexpr (!kCached) return root;
    const CachedTable c =
        cpu_.caches->lookup<GuestFormat>(va, pcid_of(cpu_.controls), root.level);
    if (c.level == 0) return root;
    cached_level_ = c.level;
    table_[c.level] = Hpa(c.table);
    return {c.level, c.gpa, c.rights};
  }
  /// A fault from a cached start is looked for again from the root (see cached_walk). False: it began there.
  template <class GuestFormat>
  bool distrust_caches(WalkStart<Gpa> root, Gva va) {
    if (!kCached || std::exchange(cached_level_, 0) == 0) return false;
    cpu_.caches->drop_path<GuestFormat>(va, pcid_of(cpu_.controls), root.level);
    return true;
  }
  /// The walk will begin at `level`, with the table that is at `host`.
  void begin_at(unsigned level, Hpa host) {
    cached_level_ = level;
    table_[level] = host;
  }
  /// Keeps what a walk that ended in the guest's tables has passed.
  template <class GuestFormat>
  void remember(const Walk<Gpa>& w, Gva va) {
    if constexpr (!kCached) return;
    if (!w.ok() && !cpu_.rules.accessed_before_fault) return;
    for (unsigned level = w.start_level; level > w.level; --level) {
      cpu_.caches->fill<GuestFormat>(level, va, pcid_of(cpu_.controls), table_[level - 1].value(),
                                     w.rights_above[level - 1], w.table[level - 1]);
    }
  }

  /// The host's half for one guest-physical address. When it fails, `violation` says where.
  [[gnu::noinline]] HostPage translate(Gpa gpa, unsigned guest_level, AccessOp op) {
    const HostPage page = kCached ? look_up(gpa, guest_level, op)
                                  : walk_host({Format::kLevels, root_}, gpa, guest_level, op);
    if (!page.ok()) [[unlikely]] violation_ = {gpa, guest_level, op == AccessOp::kWrite};
    return page;
  }

  template <class Entry>
  bool read(Gpa at, unsigned level, Ref& ref, uint64_t& value) {
    Hpa entry;
    if (kKnown && level == cached_level_) {
      entry = table_[level].with_offset(PageSize::k4K, at.value());
      ref = {host_.at<uint8_t>(entry), false};
    } else {
      const HostPage host = translate(at, level, Flavour::kTableRead);
      if (!host.ok()) [[unlikely]] return false;
      if constexpr (kCached) table_[level] = host.address.page_base();
      entry = host.address;
      ref = {host_.at<uint8_t>(entry), host.writable};
    }
    value = load_entry<Entry>(ref.at);
    ++cpu_.counters.at_level(Counter::kWalkGuestL1, level);
    if constexpr (kObserved) note(at, level, value, entry);
    return true;
  }

  /// The guest's accessed and dirty flags are written through the host's tables as well.
  bool prepare_write(const Ref& ref, Gpa at, unsigned level) {
    if (ref.writable) [[likely]] return true;
    if (kKnown) return translate(at, level, AccessOp::kWrite).ok();
    violation_ = {at, level, /*write=*/true};
    return false;
  }
  template <class Entry>
  static bool exchange(Ref& ref, uint64_t expected, uint64_t desired) {
    return exchange_entry<Entry>(ref.at, expected, desired);
  }

  const NestedViolation& violation() const { return violation_; }

 private:
  void note(Gpa at, unsigned level, uint64_t value, Hpa entry) const {
    const auto l = static_cast<uint8_t>(level);
    note_reference(cpu_, {WalkReference::Dimension::kGuest, l, l, at.value(), value}, entry);
  }

  [[gnu::always_inline]] HostPage walk_host(WalkStart<Hpa> start, Gpa gpa, unsigned guest_level,
                                            AccessOp op) {
    if (root_ == Hpa() || !HostTables<Flavour>::reaches(gpa)) [[unlikely]] return {};
    HostTableReader<kObserved> reader(host_, cpu_, guest_level);
    // Expanded here, so that of the result only what is read is made.
    const Walk<Hpa> w = walk_inline<Format>(reader, start, Gva(gpa.value()),
                                            Access{op, Privilege::kUser}, Flavour::kRules);
    if (!w.ok()) [[unlikely]] return {};
    if constexpr (kCached) keep(w, gpa);
    return {w.address, w.size, (w.rights & kRightWrite) != 0};
  }

  // With caches of the host's dimension: the nested TLB, then the deepest table known.
  HostPage look_up(Gpa gpa, unsigned guest_level, AccessOp op) {
    if (!HostTables<Flavour>::reaches(gpa)) return {};
    const NestedPage* hit = cpu_.caches->lookup_nested(gpa);
    if (hit != nullptr && Flavour::kRules.permits({op, Privilege::kUser}, hit->rights)) {
      return {hit->hpa, hit->size, (hit->rights & kRightWrite) != 0};
    }
    WalkStart<Hpa> start{Format::kLevels, root_};
    if (const CachedTable c = cpu_.caches->lookup_host(gpa, Format::kLevels); c.level != 0) {
      start.level = c.level;
      start.table = Hpa(c.table);
      start.rights = c.rights;
    }
    return walk_host(start, gpa, guest_level, op);
  }

  void keep(const Walk<Hpa>& w, Gpa gpa) {
    for (unsigned level = w.start_level; level > w.level; --level) {
      cpu_.caches->fill_host(level, gpa, w.table[level - 1].value(), w.rights_above[level - 1]);
    }
    // Permission to write is cached only with the dirty flag, so that the first write sets it.
    const Rights rights = w.dirty ? w.rights : static_cast<Rights>(w.rights & ~kRightWrite);
    cpu_.caches->fill_nested(gpa, {w.address, w.size, rights});
  }

  const HostMemory& host_;
  VcpuState& cpu_;
  const Hpa root_;
  unsigned cached_level_ = 0;  // the guest table of this level was found in the caches
  std::array<Hpa, 6> table_;   // host frames of the guest tables read
  NestedViolation violation_{};
};

}  // namespace gnomon

#endif  // MMU_NESTED_WALK_MEMORY_H_

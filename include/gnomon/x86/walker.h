// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_X86_WALKER_H_
#define GNOMON_X86_WALKER_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "gnomon/base/outcome.h"
#include "gnomon/x86/access.h"
#include "gnomon/x86/rules.h"

// The one page-table walker. A format (format_*.h) says what the bits mean; a table memory says where
// entries are read from: guest-physical memory through the p2m, host-physical shadow tables, or
// guest-physical memory through nested tables. So the same loop is the guest's processor, the hardware
// under a shadow pager, and both dimensions of a nested walk.
//
//            start.table
//                |            va: | index L | ... | index 1 | offset |
//                v                     |               |        |
//          [ table, level L ] --entry--+               |        |
//                |  rights &= entry.rights             |        |
//          [ table, level 1 ] --entry------------------+        |
//                |  rights checked once, at the leaf            |
//          [ page ] --------------------------------------------+--> address
//
// Order (SDM vol. 3, 4.6 to 4.8): each entry is checked for presence, then for reserved bits; rights are
// composed and checked when the leaf is known; flags are updated by compare-exchange, and a lost race
// starts the walk again.

namespace gnomon {

enum class WalkStatus : uint8_t {
  kOk,
  kFault,       ///< not present, reserved bit, or rights: `error_code`
  kNoMemory,    ///< the table memory refused to read or update an entry: see TableMemory::failure()
};

/// Where a walk begins: the root, or deeper when a paging-structure cache has the upper part.
template <class Addr>
struct WalkStart {
  unsigned level;
  Addr table;
  Rights rights = kAllRights;  ///< composed above
};

template <class Addr>
struct Walk {
  WalkStatus status = WalkStatus::kOk;
  uint8_t level = 0;        ///< of the leaf, or of the entry that ended the walk
  uint8_t start_level = 0;  ///< the first level read
  Rights rights = kAllRights;  ///< composed, leaf included (as far as read)
  uint8_t key = 0;
  bool global = false;
  bool dirty = false;  ///< the leaf's dirty flag, after this access
  PageSize size = PageSize::k4K;
  uint32_t error_code = 0;
  Addr address;  ///< of the byte accessed
  /// Per level that was read: the table, the entry as it stands after this walk, and the rights above it.
  /// Not initialized elsewhere: walks are too frequent for that.
  std::array<Addr, 6> table{};
  std::array<uint64_t, 6> entry;
  std::array<Rights, 6> rights_above;

  bool ok() const { return status == WalkStatus::kOk; }
  unsigned references() const { return start_level == 0 ? 0u : start_level - level + 1u; }
};

/// Requirements on a table memory `M`:
///   using Address = …;
///   typename Ref            a handle on one entry
///   bool read(Address at, unsigned level, Ref& ref, uint64_t& value)   false: refused
///   bool prepare_write(Ref&, Address at, unsigned level)               false: A/D cannot be updated
///   static bool exchange(Ref&, uint64_t& expected, uint64_t desired)   compare-exchange
/// `read` sees every memory reference of the walk in order: it is where counting and logging happen.
template <class Format, class M>
inline Walk<typename M::Address> walk(M& memory, WalkStart<typename M::Address> start, Gva va,
                                      Access access, const PagingRules& rules) {
  using Addr = typename M::Address;
  using Entry = typename Format::Entry;
  struct Pending {
    typename M::Ref ref;
    uint64_t at;
  };

  // The result is built in place (one variable, returned everywhere): a copy of it costs more than a
  // reference of the walk.
  Walk<Addr> w;
  w.start_level = static_cast<uint8_t>(start.level);
  std::array<Pending, 6> seen;

  const auto set_flags = [&](unsigned level, uint64_t& old, uint64_t flags) -> bool {
    if ((old & flags) == flags) return true;
    if (!memory.prepare_write(seen[level].ref, Addr(seen[level].at), level)) {
      w.status = WalkStatus::kNoMemory;
      w.level = static_cast<uint8_t>(level);
      return true;
    }
    if (access.probe) return true;  // it would be set
    if (!memory.template exchange<Entry>(seen[level].ref, old, old | flags)) return false;
    w.entry[level] = old |= flags;
    return true;
  };

restart:
  w.rights = start.rights;
  Addr table = start.table;
  unsigned level = start.level;
  uint64_t value;
  for (;; --level) {
    w.level = static_cast<uint8_t>(level);
    w.table[level] = table;
    w.rights_above[level] = w.rights;
    Pending& here = seen[level];
    here.at = table.value() + Format::index(va, level) * sizeof(Entry);
    if (!memory.template read<Entry>(Addr(here.at), level, here.ref, value)) [[unlikely]] {
      w.status = WalkStatus::kNoMemory;
      return w;
    }
    const auto e = static_cast<Entry>(value);
    w.entry[level] = e;
    if (!Format::present(e)) {
      w.status = WalkStatus::kFault;
      w.error_code = rules.error_base[access.kind()];
      return w;
    }
    const bool leaf = Format::leaf(e, level, rules);
    if (Format::malformed(e, level, leaf, rules)) [[unlikely]] {
      w.status = WalkStatus::kFault;
      w.error_code = rules.error_base[access.kind()] | pf::kPresent | pf::kReserved;
      return w;
    }
    w.rights &= Format::rights(e, level, rules);
    if (leaf) break;
    if (rules.accessed_before_fault) {
      if (!set_flags(level, value, Format::accessed(level, rules))) goto restart;
      if (w.status != WalkStatus::kOk) return w;
    }
    table = Addr(Format::table_base(e));
  }

  const auto e = static_cast<Entry>(value);
  w.key = Format::key(e);
  const bool denied_by_key = rules.key_forbids(access, w.rights, w.key);
  if (!rules.permits(access, w.rights) || denied_by_key) [[unlikely]] {
    w.status = WalkStatus::kFault;
    w.error_code = rules.error_base[access.kind()] | pf::kPresent | (denied_by_key ? pf::kKey : 0);
    return w;
  }
  if (!rules.accessed_before_fault) {
    for (unsigned l = start.level; l > level; --l) {
      if (!set_flags(l, w.entry[l], Format::accessed(l, rules))) goto restart;
      if (w.status != WalkStatus::kOk) return w;
    }
  }
  const uint64_t flags =
      Format::accessed(level, rules) | (access.write() ? Format::dirty(rules) : uint64_t{0});
  if (!set_flags(level, value, flags)) goto restart;
  if (w.status != WalkStatus::kOk) return w;

  w.dirty = (value & Format::dirty(rules)) == Format::dirty(rules);
  w.global = Format::global(e, rules);
  w.size = Format::leaf_size(level);
  w.address = Addr(Format::leaf_base(e, level) | va.offset_in(w.size));
  return w;
}

}  // namespace gnomon

#endif  // GNOMON_X86_WALKER_H_

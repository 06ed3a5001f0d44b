// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_X86_WALKER_H_
#define GNOMON_X86_WALKER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

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
/// A format may have `kDenyBits`, the bits of an entry that take a right away when set: then the rights of a
/// path are those of its entries composed by AND, with these bits inverted.
template <class Format, class M>
[[gnu::always_inline]] inline Walk<typename M::Address> walk_inline(
    M& memory, WalkStart<typename M::Address> start, Gva va, Access access,
    const PagingRules& rules) {
  using Addr = typename M::Address;
  using Entry = typename Format::Entry;
  struct Pending {
    typename M::Ref ref;
    uint64_t at;
  };
  enum class Step : uint8_t { kDown, kLeaf, kEnd, kAgain };

  // The result is built in place (one variable, returned everywhere): a copy of it costs more than a
  // reference of the walk.
  Walk<Addr> w;
  w.start_level = static_cast<uint8_t>(start.level);
  std::array<Pending, 6> seen;
  Addr table;
  Rights rights = kAllRights;
  unsigned level = 0;
  uint64_t value = 0;

  // Converting an entry's rights takes as long as the rest of a reference of a nested walk. Where a format lets
  // entries be composed as they are, the conversion is left to whoever asks, which is the leaf.
  constexpr bool kComposesEntries = requires { Format::kDenyBits; };
  uint64_t composed = ~uint64_t{0};
  const auto rights_so_far = [&]() __attribute__((always_inline)) -> Rights {
    if constexpr (kComposesEntries) {
      return rights & Format::rights(composed ^ Format::kDenyBits, 1, rules);
    } else {
      return rights;
    }
  };

  const auto set_flags = [&](unsigned at, uint64_t& old, uint64_t flags)
      __attribute__((always_inline)) -> Step {
    if ((old & flags) == flags) return Step::kDown;
    if (!memory.prepare_write(seen[at].ref, Addr(seen[at].at), at)) {
      w.status = WalkStatus::kNoMemory;
      level = at;
      return Step::kEnd;
    }
    if (access.probe()) return Step::kDown;  // it would be set
    if (!memory.template exchange<Entry>(seen[at].ref, old, old | flags)) return Step::kAgain;
    w.entry[at] = old |= flags;
    return Step::kDown;
  };

  const auto read_level = [&]<unsigned L>(std::integral_constant<unsigned, L>)
      __attribute__((always_inline)) -> Step {
    level = L;
    w.table[L] = table;
    w.rights_above[L] = rights_so_far();
    Pending& here = seen[L];
    here.at = table.value() + Format::index(va, L) * sizeof(Entry);
    if (!memory.template read<Entry>(Addr(here.at), L, here.ref, value)) [[unlikely]] {
      w.status = WalkStatus::kNoMemory;
      return Step::kEnd;
    }
    const auto e = static_cast<Entry>(value);
    w.entry[L] = e;
    if (!Format::present(e)) [[unlikely]] {
      w.status = WalkStatus::kFault;
      w.error_code = rules.error_base[access.kind()];
      return Step::kEnd;
    }
    const bool leaf = Format::leaf(e, L, rules);
    if (Format::malformed(e, L, leaf, rules)) [[unlikely]] {
      w.status = WalkStatus::kFault;
      w.error_code = rules.error_base[access.kind()] | pf::kPresent | pf::kReserved;
      return Step::kEnd;
    }
    if constexpr (kComposesEntries) {
      composed &= e ^ Format::kDenyBits;
    } else {
      rights &= Format::rights(e, L, rules);
    }
    if (leaf) return Step::kLeaf;
    table = Addr(Format::table_base(e));
    return rules.accessed_before_fault ? set_flags(L, value, Format::accessed(L, rules))
                                       : Step::kDown;
  };

  const auto end_at_leaf = [&]() __attribute__((always_inline)) -> Step {
    const auto e = static_cast<Entry>(value);
    const unsigned leaf = level;
    const Rights all = rights_so_far();
    w.key = Format::key(e);
    const bool denied_by_key = rules.key_forbids(access, all, w.key);
    if (!rules.permits(access, all) || denied_by_key) [[unlikely]] {
      w.status = WalkStatus::kFault;
      w.error_code = rules.error_base[access.kind()] | pf::kPresent | (denied_by_key ? pf::kKey : 0);
      return Step::kEnd;
    }
    if (!rules.accessed_before_fault) {
      for (unsigned l = start.level; l > leaf; --l) {
        const Step s = set_flags(l, w.entry[l], Format::accessed(l, rules));
        if (s != Step::kDown) return s;
      }
    }
    const uint64_t flags =
        Format::accessed(leaf, rules) | (access.write() ? Format::dirty(rules) : uint64_t{0});
    if (const Step s = set_flags(leaf, value, flags); s != Step::kDown) return s;
    w.dirty = (value & Format::dirty(rules)) == Format::dirty(rules);
    w.global = Format::global(e, rules);
    w.size = Format::leaf_size(leaf);
    w.address = Addr(Format::leaf_base(e, leaf) | va.offset_in(w.size));
    return Step::kEnd;
  };

  // One copy of the step for each level, so that shifts, masks and counters are constants.
  const auto once = [&]<unsigned... I>(std::integer_sequence<unsigned, I...>)
      __attribute__((always_inline)) -> Step {
    table = start.table;
    rights = start.rights;
    composed = ~uint64_t{0};
    Step s = Step::kDown;
    ((s == Step::kDown && start.level >= Format::kLevels - I
          ? void(s = read_level(std::integral_constant<unsigned, Format::kLevels - I>{}))
          : void()),
     ...);
    return s == Step::kLeaf ? end_at_leaf() : s;
  };
  while (once(std::make_integer_sequence<unsigned, Format::kLevels>{}) == Step::kAgain) {
  }
  w.level = static_cast<uint8_t>(level);
  w.rights = rights_so_far();
  return w;
}

/// The same, not expanded at each call. The start goes in registers: loading a structure again right
/// after its parts were stored stalls.
template <class Format, class M>
Walk<typename M::Address> walk_from(M& memory, unsigned level, typename M::Address table,
                                    Rights rights, Gva va, Access access,
                                    const PagingRules& rules) {
  return walk_inline<Format>(memory, {level, table, rights}, va, access, rules);
}
template <class Format, class M>
inline Walk<typename M::Address> walk(M& memory, WalkStart<typename M::Address> start, Gva va,
                                      Access access, const PagingRules& rules) {
  return walk_from<Format>(memory, start.level, start.table, start.rights, va, access, rules);
}

}  // namespace gnomon

#endif  // GNOMON_X86_WALKER_H_

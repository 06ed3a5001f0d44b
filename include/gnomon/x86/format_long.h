// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_X86_FORMAT_LONG_H_
#define GNOMON_X86_FORMAT_LONG_H_

#include <array>

#include "gnomon/base/bitfield.h"
#include "gnomon/base/outcome.h"
#include "gnomon/base/units.h"
#include "gnomon/x86/entry_bits.h"
#include "gnomon/x86/rules.h"

//  4-level (5-level) paging, SDM vol. 3, 4.5
//
//   63      48 47   39 38   30 29   21 20   12 11       0
//  +----------+-------+-------+-------+-------+----------+
//  | sign ext | PML4  | PDPT  |  PD   |  PT   |  offset  |      level 5 (PML5) takes bits 56..48
//  +----------+-------+-------+-------+-------+----------+
//               lvl 4   lvl 3   lvl 2   lvl 1

namespace gnomon {

/// Traits of the 64-bit formats. NPT uses the same tables (walked as user accesses).
template <unsigned Levels>
struct LongFormat {
  using Entry = uint64_t;
  static constexpr unsigned kLevels = Levels;
  static constexpr unsigned kIndexBits = 9;
  static constexpr unsigned kAddressBits = 12 + 9 * Levels;
  static constexpr absl::string_view kName = Levels == 4 ? "4-level" : "5-level";

  static constexpr unsigned shift(unsigned level) { return 12 + 9 * (level - 1); }
  static constexpr unsigned index(Gva va, unsigned level) {
    return static_cast<unsigned>(va.value() >> shift(level)) & 0x1ff;
  }
  static constexpr bool canonical(Gva va) {
    const auto high = static_cast<int64_t>(va.value()) >> (kAddressBits - 1);
    return high == 0 || high == -1;
  }

  static constexpr bool present(Entry e) { return (e & pte::kPresent) != 0; }
  static constexpr bool leaf(Entry e, unsigned level, const PagingRules&) {
    return level == 1 || (level <= 3 && (e & pte::kLarge) != 0);
  }
  static constexpr bool malformed(Entry e, unsigned level, bool leaf, const PagingRules& rules) {
    return (e & (leaf ? rules.reserved_leaf[level] : rules.reserved_table[level])) != 0;
  }
  static constexpr Rights rights(Entry e, unsigned, const PagingRules&) {
    return static_cast<Rights>(((e >> 1) & 3) | ((~e >> 61) & 4));
  }
  static constexpr uint64_t kDenyBits = pte::kNoExecute;  ///< see walk_inline
  static constexpr uint64_t accessed(unsigned, const PagingRules&) { return pte::kAccessed; }
  static constexpr uint64_t dirty(const PagingRules&) { return pte::kDirty; }
  static constexpr bool global(Entry e, const PagingRules& rules) {
    return rules.pge && (e & pte::kGlobal) != 0;
  }
  static constexpr uint8_t key(Entry e) { return (e >> pte::kKeyShift) & 0xf; }

  static constexpr PageSize leaf_size(unsigned level) { return static_cast<PageSize>(shift(level)); }
  static constexpr uint64_t table_base(Entry e) { return e & pte::kFrameMask; }
  static constexpr uint64_t leaf_base(Entry e, unsigned level) {
    return e & pte::kFrameMask & ~offset_mask(leaf_size(level));
  }

  static constexpr Entry make_table(uint64_t base, Rights r) {
    return (base & pte::kFrameMask) | pte::kPresent | encode_rights(r);
  }
  static constexpr Entry make_leaf(uint64_t base, unsigned level, Rights r) {
    return (base & pte::kFrameMask) | pte::kPresent | encode_rights(r) |
           (level > 1 ? pte::kLarge : 0);
  }
  static constexpr Entry encode_rights(Rights r) {
    return (uint64_t{r} & 3) << 1 | ((r & kRightExec) != 0 ? 0 : pte::kNoExecute);
  }
};

using Long4 = LongFormat<4>;
using Long5 = LongFormat<5>;

inline constexpr uint8_t kLongAll = 0b111110;
inline constexpr auto kLongRows = std::to_array<BitRow>({
    {0, 0, "P", "present", kLongAll},
    {1, 1, "W", "writes allowed", kLongAll},
    {2, 2, "U", "user accesses allowed", kLongAll},
    {3, 3, "PWT", "write-through", kLongAll},
    {4, 4, "PCD", "cache disable", kLongAll},
    {5, 5, "A", "accessed", kLongAll},
    {6, 6, "D", "dirty: the page has been written", 0b001110, BitRow::Kind::kLeaf},
    {7, 7, "PS", "this entry maps a large page", 0b001100},
    {7, 7, "PAT", "memory type (with PWT, PCD)", 0b000010},
    {8, 8, "G", "global: survives a CR3 load", 0b001110, BitRow::Kind::kLeaf},
    {12, 12, "PAT", "memory type (with PWT, PCD)", 0b001100, BitRow::Kind::kLeaf},
    {51, 12, "frame", "address of the next table", 0b111100, BitRow::Kind::kTable},
    {51, 12, "frame", "address of the 4K page", 0b000010},
    {51, 21, "frame", "address of the 2M page", 0b000100, BitRow::Kind::kLeaf},
    {51, 30, "frame", "address of the 1G page", 0b001000, BitRow::Kind::kLeaf},
    {62, 59, "key", "protection key", 0b001110, BitRow::Kind::kLeaf},
    {63, 63, "XD", "no instruction fetches", kLongAll},
});
static_assert(rows_are_disjoint(kLongRows));
static_assert(Long4::shift(4) == 39 && Long5::shift(5) == 48);
static_assert(Long4::index(Gva(~uint64_t{0}), 4) == 511 && Long4::canonical(Gva(~uint64_t{0})));
static_assert(!Long4::canonical(Gva(uint64_t{1} << 47)) && Long5::canonical(Gva(uint64_t{1} << 47)));
static_assert(Long4::rights(Long4::make_leaf(0, 1, kRightUser), 1, {}) == kRightUser);

}  // namespace gnomon

#endif  // GNOMON_X86_FORMAT_LONG_H_

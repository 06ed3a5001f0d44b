// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_X86_FORMAT_PAE_H_
#define GNOMON_X86_FORMAT_PAE_H_

#include <array>

#include "gnomon/x86/format_long.h"

//  PAE paging, SDM vol. 3, 4.4: 32-bit addresses, 64-bit entries
//
//   31 30 29      21 20      12 11       0
//  +-----+----------+----------+----------+
//  | PDP |    PD    |    PT    |  offset  |
//  +-----+----------+----------+----------+
//   lvl 3    lvl 2      lvl 1

namespace gnomon {

/// The four PDPTEs (level 3) carry no rights and no accessed flag. Processors hold them in registers;
/// walks start at level 2 then (see CpuModel::pdptes_in_memory).
struct PaeFormat {
  using Entry = uint64_t;
  static constexpr unsigned kLevels = 3;
  static constexpr unsigned kIndexBits = 9;
  static constexpr unsigned kAddressBits = 32;
  static constexpr absl::string_view kName = "PAE";

  static constexpr unsigned shift(unsigned level) { return 12 + 9 * (level - 1); }
  static constexpr unsigned index(Gva va, unsigned level) {
    return static_cast<unsigned>(va.value() >> shift(level)) & (level == 3 ? 3 : 0x1ff);
  }
  static constexpr bool canonical(Gva va) { return va.value() >> 32 == 0; }

  static constexpr bool present(Entry e) { return (e & pte::kPresent) != 0; }
  static constexpr bool leaf(Entry e, unsigned level, const PagingRules&) {
    return level == 1 || (level == 2 && (e & pte::kLarge) != 0);
  }
  static constexpr bool malformed(Entry e, unsigned level, bool leaf, const PagingRules& rules) {
    return (e & (leaf ? rules.reserved_leaf[level] : rules.reserved_table[level])) != 0;
  }
  static constexpr Rights rights(Entry e, unsigned level, const PagingRules& rules) {
    return level == 3 ? kAllRights : Long4::rights(e, level, rules);
  }
  static constexpr uint64_t accessed(unsigned level, const PagingRules&) {
    return level == 3 ? 0 : pte::kAccessed;
  }
  static constexpr uint64_t dirty(const PagingRules&) { return pte::kDirty; }
  static constexpr bool global(Entry e, const PagingRules& rules) {
    return rules.pge && (e & pte::kGlobal) != 0;
  }
  static constexpr uint8_t key(Entry) { return 0; }

  static constexpr PageSize leaf_size(unsigned level) { return static_cast<PageSize>(shift(level)); }
  static constexpr uint64_t table_base(Entry e) { return e & pte::kFrameMask; }
  static constexpr uint64_t leaf_base(Entry e, unsigned level) { return Long4::leaf_base(e, level); }
};

inline constexpr auto kPaeRows = std::to_array<BitRow>({
    {0, 0, "P", "present", 0b001110},
    {1, 1, "W", "writes allowed", 0b000110},
    {2, 2, "U", "user accesses allowed", 0b000110},
    {3, 3, "PWT", "write-through", 0b001110},
    {4, 4, "PCD", "cache disable", 0b001110},
    {5, 5, "A", "accessed", 0b000110},
    {6, 6, "D", "dirty: the page has been written", 0b000110, BitRow::Kind::kLeaf},
    {7, 7, "PS", "this entry maps a 2M page", 0b000100},
    {7, 7, "PAT", "memory type (with PWT, PCD)", 0b000010},
    {8, 8, "G", "global: survives a CR3 load", 0b000110, BitRow::Kind::kLeaf},
    {12, 12, "PAT", "memory type (with PWT, PCD)", 0b000100, BitRow::Kind::kLeaf},
    {51, 12, "frame", "address of the next table", 0b001100, BitRow::Kind::kTable},
    {51, 12, "frame", "address of the 4K page", 0b000010},
    {51, 21, "frame", "address of the 2M page", 0b000100, BitRow::Kind::kLeaf},
    {63, 63, "XD", "no instruction fetches", 0b000110},
});
static_assert(rows_are_disjoint(kPaeRows));
static_assert(PaeFormat::index(Gva(0xffff'ffff), 3) == 3 && !PaeFormat::canonical(Gva(1ull << 32)));

}  // namespace gnomon

#endif  // GNOMON_X86_FORMAT_PAE_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_X86_FORMAT_LEGACY32_H_
#define GNOMON_X86_FORMAT_LEGACY32_H_

#include <array>

#include "gnomon/base/bitfield.h"
#include "gnomon/base/outcome.h"
#include "gnomon/x86/entry_bits.h"
#include "gnomon/x86/rules.h"

//  32-bit paging, SDM vol. 3, 4.3: two levels of 32-bit entries
//
//   31        22 21        12 11       0
//  +------------+------------+----------+
//  | directory  |   table    |  offset  |     with CR4.PSE and PDE.PS: bits 21..0 are the offset in a 4M
//  +------------+------------+----------+     page, whose address bits 39..32 are in PDE bits 20..13
//      lvl 2         lvl 1

namespace gnomon {

struct Legacy32Format {
  using Entry = uint32_t;
  static constexpr unsigned kLevels = 2;
  static constexpr unsigned kIndexBits = 10;
  static constexpr unsigned kAddressBits = 32;
  static constexpr absl::string_view kName = "32-bit";

  static constexpr unsigned shift(unsigned level) { return 12 + 10 * (level - 1); }
  static constexpr unsigned index(Gva va, unsigned level) {
    return static_cast<unsigned>(va.value() >> shift(level)) & 0x3ff;
  }
  static constexpr bool canonical(Gva va) { return va.value() >> 32 == 0; }

  static constexpr bool present(Entry e) { return (e & pte::kPresent) != 0; }
  static constexpr bool leaf(Entry e, unsigned level, const PagingRules& rules) {
    return level == 1 || (rules.pse && (e & pte::kLarge) != 0);
  }
  static constexpr bool malformed(Entry e, unsigned level, bool leaf, const PagingRules& rules) {
    return leaf && (e & rules.reserved_leaf[level]) != 0;
  }
  static constexpr Rights rights(Entry e, unsigned, const PagingRules&) {
    return static_cast<Rights>(((e >> 1) & 3) | kRightExec);
  }
  static constexpr uint64_t accessed(unsigned, const PagingRules&) { return pte::kAccessed; }
  static constexpr uint64_t dirty(const PagingRules&) { return pte::kDirty; }
  static constexpr bool global(Entry e, const PagingRules& rules) {
    return rules.pge && (e & pte::kGlobal) != 0;
  }
  static constexpr uint8_t key(Entry) { return 0; }

  static constexpr PageSize leaf_size(unsigned level) {
    return level == 1 ? PageSize::k4K : PageSize::k4M;
  }
  static constexpr uint64_t table_base(Entry e) { return e & 0xffff'f000; }
  static constexpr uint64_t leaf_base(Entry e, unsigned level) {
    return level == 1 ? e & 0xffff'f000
                      : (uint64_t{e} & 0xffc0'0000) | (uint64_t{e} >> 13 & 0xff) << 32;
  }
};

inline constexpr auto kLegacy32Rows = std::to_array<BitRow>({
    {0, 0, "P", "present", 0b110},
    {1, 1, "W", "writes allowed", 0b110},
    {2, 2, "U", "user accesses allowed", 0b110},
    {3, 3, "PWT", "write-through", 0b110},
    {4, 4, "PCD", "cache disable", 0b110},
    {5, 5, "A", "accessed", 0b110},
    {6, 6, "D", "dirty: the page has been written", 0b110, BitRow::Kind::kLeaf},
    {7, 7, "PS", "this entry maps a 4M page (with CR4.PSE)", 0b100},
    {7, 7, "PAT", "memory type (with PWT, PCD)", 0b010},
    {8, 8, "G", "global: survives a CR3 load", 0b110, BitRow::Kind::kLeaf},
    {12, 12, "PAT", "memory type (with PWT, PCD)", 0b100, BitRow::Kind::kLeaf},
    {20, 13, "high", "address bits 39..32 of the 4M page (PSE-36)", 0b100, BitRow::Kind::kLeaf},
    {31, 12, "frame", "address of the page table", 0b100, BitRow::Kind::kTable},
    {31, 12, "frame", "address of the 4K page", 0b010},
    {31, 22, "frame", "address bits 31..22 of the 4M page", 0b100, BitRow::Kind::kLeaf},
});
static_assert(rows_are_disjoint(kLegacy32Rows));
static_assert(Legacy32Format::leaf_base(0x0040'2083, 2) == 0x1'0040'0000);

}  // namespace gnomon

#endif  // GNOMON_X86_FORMAT_LEGACY32_H_

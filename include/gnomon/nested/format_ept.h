// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_NESTED_FORMAT_EPT_H_
#define GNOMON_NESTED_FORMAT_EPT_H_

#include <array>

#include "gnomon/base/bitfield.h"
#include "gnomon/base/outcome.h"
#include "gnomon/base/units.h"
#include "gnomon/x86/entry_bits.h"
#include "gnomon/x86/rules.h"

//  Extended page tables, SDM vol. 3, 29.3: guest-physical to host-physical
//
//   51      48 47   39 38   30 29   21 20   12 11       0
//  +----------+-------+-------+-------+-------+----------+
//  |    0     | PML4  | PDPT  |  PD   |  PT   |  offset  |      level 5 (PML5) takes bits 56..48
//  +----------+-------+-------+-------+-------+----------+
//               lvl 4   lvl 3   lvl 2   lvl 1
//
//  An entry is present if it grants any right at all. There is no user/supervisor distinction, so the
//  right to read takes that bit of `Rights`: the rules of `ept_rules` ask for exactly one right each.

namespace gnomon {

/// Bits of an EPT entry (SDM vol. 3, tables 29-1 to 29-7).
namespace ept {
inline constexpr uint64_t kRead = 1u << 0;
inline constexpr uint64_t kWrite = 1u << 1;
inline constexpr uint64_t kExec = 1u << 2;
inline constexpr unsigned kMemoryTypeShift = 3;
inline constexpr uint64_t kMemoryTypeMask = 7u << kMemoryTypeShift;
inline constexpr uint64_t kWriteBack = 6u << kMemoryTypeShift;
inline constexpr uint64_t kLarge = 1u << 7;
inline constexpr uint64_t kAccessed = 1u << 8;
inline constexpr uint64_t kDirty = 1u << 9;
inline constexpr uint64_t kSuppressVe = uint64_t{1} << 63;
/// Bit n set: memory type n is one of the architecture's (UC, WC, WT, WP, WB).
inline constexpr unsigned kMemoryTypes = 0b0111'0011;
}  // namespace ept

/// Guest-physical address -> position in the tables. `AccessedDirty`: bit 6 of the EPT pointer.
template <unsigned Levels, bool AccessedDirty>
struct EptFormat {
  using Entry = uint64_t;
  static constexpr unsigned kLevels = Levels;
  static constexpr unsigned kIndexBits = 9;
  static constexpr unsigned kAddressBits = 12 + 9 * Levels;
  static constexpr absl::string_view kName = Levels == 4 ? "4-level EPT" : "5-level EPT";

  static constexpr unsigned shift(unsigned level) { return 12 + 9 * (level - 1); }
  static constexpr unsigned index(Gva gpa, unsigned level) {
    return static_cast<unsigned>(gpa.value() >> shift(level)) & 0x1ff;
  }

  static constexpr bool present(Entry e) { return (e & (ept::kRead | ept::kWrite | ept::kExec)) != 0; }
  static constexpr bool leaf(Entry e, unsigned level, const PagingRules&) {
    return level == 1 || (level <= 3 && (e & ept::kLarge) != 0);
  }
  /// An EPT misconfiguration (SDM 29.3.3.1).
  static constexpr bool malformed(Entry e, unsigned level, bool leaf, const PagingRules& rules) {
    if ((e & (ept::kRead | ept::kWrite)) == ept::kWrite) return true;
    if (!leaf) return (e & rules.reserved_table[level]) != 0;
    const unsigned type = (e & ept::kMemoryTypeMask) >> ept::kMemoryTypeShift;
    return ((ept::kMemoryTypes >> type) & 1) == 0 || (e & rules.reserved_leaf[level]) != 0;
  }
  static constexpr Rights rights(Entry e, unsigned, const PagingRules&) {
    return static_cast<Rights>((e & ept::kExec) | (e & ept::kRead) << 1 | (e & ept::kWrite) >> 1);
  }
  static constexpr uint64_t kDenyBits = 0;  ///< see walk_inline
  static constexpr uint64_t accessed(unsigned, const PagingRules&) {
    return AccessedDirty ? ept::kAccessed : 0;
  }
  static constexpr uint64_t dirty(const PagingRules&) { return AccessedDirty ? ept::kDirty : 0; }
  static constexpr bool global(Entry, const PagingRules&) { return false; }
  static constexpr uint8_t key(Entry) { return 0; }

  static constexpr PageSize leaf_size(unsigned level) { return static_cast<PageSize>(shift(level)); }
  static constexpr uint64_t table_base(Entry e) { return e & pte::kFrameMask; }
  static constexpr uint64_t leaf_base(Entry e, unsigned level) {
    return e & pte::kFrameMask & ~offset_mask(leaf_size(level));
  }

  static constexpr Entry make_table(uint64_t base, Rights r) {
    return (base & pte::kFrameMask) | encode_rights(r);
  }
  static constexpr Entry make_leaf(uint64_t base, unsigned level, Rights r) {
    return (base & pte::kFrameMask) | ept::kWriteBack | encode_rights(r) |
           (level > 1 ? ept::kLarge : 0);
  }
  static constexpr Entry encode_rights(Rights r) {
    return (uint64_t{r} & kRightExec) | (uint64_t{r} & kRightUser) >> 1 |
           (uint64_t{r} & kRightWrite) << 1;
  }
};

/// What an EPT walk goes by: a read needs R, a write W, a fetch X; reserved bits by level. All accesses of
/// a guest are the same to it, whatever its privilege.
constexpr PagingRules ept_rules(unsigned maxphyaddr) {
  PagingRules rules;
  rules.maxphyaddr = static_cast<uint8_t>(maxphyaddr);
  const uint64_t beyond = bit_range(51, maxphyaddr);
  for (unsigned level = 2; level < PagingRules::kLevels; ++level) {
    rules.reserved_table[level] = beyond | bit_range(6, 3) | (level > 3 ? ept::kLarge : 0);
  }
  rules.reserved_leaf[1] = beyond;
  rules.reserved_leaf[2] = beyond | bit_range(20, 12);
  rules.reserved_leaf[3] = beyond | bit_range(29, 12);
  constexpr std::array<Rights, 3> kNeeded = {kRightUser, kRightWrite, kRightExec};
  for (unsigned kind = 0; kind < Access::kKinds; ++kind) {
    for (Rights r = 0; r <= kAllRights; ++r) {
      if ((r & kNeeded[kind / 3]) != 0) rules.permitted[kind] |= static_cast<uint8_t>(1u << r);
    }
    rules.error_base[kind] = kind / 3 == static_cast<unsigned>(AccessOp::kWrite) ? pf::kWrite : 0;
  }
  return rules;
}

inline constexpr auto kEptRows = std::to_array<BitRow>({
    {0, 0, "R", "reads allowed", 0b111110},
    {1, 1, "W", "writes allowed", 0b111110},
    {2, 2, "X", "instruction fetches allowed", 0b111110},
    {5, 3, "type", "memory type: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB", 0b001110, BitRow::Kind::kLeaf},
    {6, 6, "IPAT", "ignore the guest's PAT", 0b001110, BitRow::Kind::kLeaf},
    {7, 7, "PS", "this entry maps a large page", 0b001100},
    {8, 8, "A", "accessed", 0b111110},
    {9, 9, "D", "dirty: the page has been written", 0b001110, BitRow::Kind::kLeaf},
    {10, 10, "XU", "user-mode fetches (mode-based execute control; unused here)", 0b111110},
    {51, 12, "frame", "address of the next table", 0b111100, BitRow::Kind::kTable},
    {51, 12, "frame", "address of the 4K page", 0b000010},
    {51, 21, "frame", "address of the 2M page", 0b000100, BitRow::Kind::kLeaf},
    {51, 30, "frame", "address of the 1G page", 0b001000, BitRow::Kind::kLeaf},
    {63, 63, "SVE", "suppress #VE: a violation here exits", 0b001110, BitRow::Kind::kLeaf},
});
static_assert(rows_are_disjoint(kEptRows));
static_assert(EptFormat<4, true>::shift(4) == 39 && EptFormat<5, true>::kAddressBits == 57);
static_assert(EptFormat<4, true>::rights(ept::kRead | ept::kExec, 1, {}) == (kRightUser | kRightExec));
static_assert(EptFormat<4, true>::make_leaf(0x20'0000, 2, kAllRights) == 0x20'00b7);
static_assert(EptFormat<4, true>::malformed(ept::kWrite | ept::kExec, 1, true, {}));

}  // namespace gnomon

#endif  // GNOMON_NESTED_FORMAT_EPT_H_

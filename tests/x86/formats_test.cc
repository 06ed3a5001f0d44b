// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>

#include "gnomon/x86/format_legacy32.h"
#include "gnomon/x86/format_long.h"
#include "gnomon/x86/format_pae.h"

// The rows that describe an entry, the reserved masks and the manual's "ignored" bits must together
// account for every bit exactly once, at each level, for pages and tables.

namespace gnomon {
namespace {

using Kind = BitRow::Kind;

uint64_t bits_of(std::span<const BitRow> rows, unsigned level, bool leaf) {
  uint64_t bits = 0;
  for (const BitRow& row : rows) {
    if ((row.levels & level_bit(level)) == 0) continue;
    if (row.kind == (leaf ? Kind::kTable : Kind::kLeaf)) continue;
    bits |= row.mask();
  }
  return bits;
}

PagingRules rules_for(PagingMode mode, uint8_t maxphyaddr, bool nxe) {
  Controls c;
  c.cr0 = cr0::kPE | cr0::kPG;
  c.cr4 = cr4::kPSE;
  if (mode != PagingMode::kLegacy32) c.cr4 |= cr4::kPAE;
  if (mode == PagingMode::kLevel5) c.cr4 |= cr4::kLA57;
  if (mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5) c.efer = efer::kLME | efer::kLMA;
  if (nxe) c.efer |= efer::kNXE;
  CpuModel cpu;
  cpu.maxphyaddr = maxphyaddr;
  return derive_rules(c, cpu);
}

struct Shape {
  PagingMode mode;
  std::span<const BitRow> rows;
  unsigned level;
  bool leaf;
  uint64_t ignored;  ///< SDM vol. 3, tables 4-4 to 4-20
};

const Shape kShapes[] = {
    {PagingMode::kLevel5, kLongRows, 5, false, bit_range(6, 6) | bit_range(11, 8) | bit_range(62, 52)},
    {PagingMode::kLevel4, kLongRows, 4, false, bit_range(6, 6) | bit_range(11, 8) | bit_range(62, 52)},
    {PagingMode::kLevel4, kLongRows, 3, false, bit_range(6, 6) | bit_range(11, 8) | bit_range(62, 52)},
    {PagingMode::kLevel4, kLongRows, 3, true, bit_range(11, 9) | bit_range(58, 52)},
    {PagingMode::kLevel4, kLongRows, 2, false, bit_range(6, 6) | bit_range(11, 8) | bit_range(62, 52)},
    {PagingMode::kLevel4, kLongRows, 2, true, bit_range(11, 9) | bit_range(58, 52)},
    {PagingMode::kLevel4, kLongRows, 1, true, bit_range(11, 9) | bit_range(58, 52)},
    {PagingMode::kPae, kPaeRows, 3, false, bit_range(11, 9)},
    {PagingMode::kPae, kPaeRows, 2, false, bit_range(6, 6) | bit_range(11, 8)},
    {PagingMode::kPae, kPaeRows, 2, true, bit_range(11, 9)},
    {PagingMode::kPae, kPaeRows, 1, true, bit_range(11, 9)},
    {PagingMode::kLegacy32, kLegacy32Rows, 2, false, bit_range(6, 6) | bit_range(11, 8)},
    {PagingMode::kLegacy32, kLegacy32Rows, 2, true, bit_range(11, 9)},
    {PagingMode::kLegacy32, kLegacy32Rows, 1, true, bit_range(11, 9)},
};

TEST(Formats, RowsReservedAndIgnoredBitsAddUpToTheEntry) {
  for (const Shape& s : kShapes) {
    SCOPED_TRACE(testing::Message() << name_of(s.mode) << " level " << s.level
                                    << (s.leaf ? " page" : " table"));
    const PagingRules rules = rules_for(s.mode, 52, true);
    const uint64_t reserved = (s.leaf ? rules.reserved_leaf : rules.reserved_table)[s.level];
    const uint64_t named = bits_of(s.rows, s.level, s.leaf);
    EXPECT_EQ(named & reserved, 0u);
    EXPECT_EQ(named & s.ignored, 0u);
    EXPECT_EQ(reserved & s.ignored, 0u);
    const uint64_t whole = s.mode == PagingMode::kLegacy32 ? 0xffff'ffff : ~uint64_t{0};
    EXPECT_EQ(named | reserved | s.ignored, whole);
  }
}

TEST(Formats, NarrowProcessorsReserveTheAddressBitsTheyLack) {
  for (const Shape& s : kShapes) {
    for (uint8_t m = 32; m <= 52; ++m) {
      SCOPED_TRACE(testing::Message() << name_of(s.mode) << " level " << s.level << " M " << int{m});
      const auto reserved = [&](uint8_t width, bool nxe) {
        const PagingRules rules = rules_for(s.mode, width, nxe);
        return (s.leaf ? rules.reserved_leaf : rules.reserved_table)[s.level];
      };
      const uint64_t added = reserved(m, true) & ~reserved(52, true);
      if (s.mode != PagingMode::kLegacy32) {
        EXPECT_EQ(added, bit_range(51, m));
        const bool has_nx = !(s.mode == PagingMode::kPae && s.level == 3);
        EXPECT_EQ(reserved(m, false), reserved(m, true) | (has_nx ? pte::kNoExecute : 0));
      } else if (s.leaf && s.level == 2) {
        // PDE bits 20:13 hold address bits 39:32.
        EXPECT_EQ(added, m >= 40 ? 0 : bit_range(20, m - 19u));
      } else {
        EXPECT_EQ(added, 0u);
      }
    }
  }
}

TEST(Formats, Pse36AndGigabytePagesCanBeAbsent) {
  Controls c;
  c.cr0 = cr0::kPE | cr0::kPG;
  c.cr4 = cr4::kPSE;
  CpuModel cpu;
  cpu.pse36 = false;
  EXPECT_EQ(derive_rules(c, cpu).reserved_leaf[2], bit_range(21, 13));
  c.cr4 |= cr4::kPAE;
  c.efer = efer::kLME | efer::kLMA | efer::kNXE;
  cpu.gb_pages = false;
  EXPECT_NE(derive_rules(c, cpu).reserved_leaf[3] & pte::kLarge, 0u);
  EXPECT_EQ(derive_rules(c, cpu).reserved_leaf[2] & pte::kLarge, 0u);
}

TEST(Formats, DescribeNamesTheBits) {
  EXPECT_EQ(describe_bits(kLongRows, 1, true, 0x8000'0000'1234'5067), "P W U A D frame=0x12345 XD");
  EXPECT_EQ(describe_bits(kLongRows, 4, false, 0x1023), "P W A frame=0x1");
  EXPECT_EQ(describe_bits(kLongRows, 2, true, 0x0800'0000'0060'01e3), "P W A D PS G frame=0x3 key=0x1");
  EXPECT_EQ(describe_bits(kLongRows, 1, true, 0x81), "P PAT");
  EXPECT_EQ(describe_bits(kLongRows, 1, true, 0), "");
  EXPECT_EQ(describe_bits(kPaeRows, 3, false, 0x5019), "P PWT PCD frame=0x5");
  EXPECT_EQ(describe_bits(kLegacy32Rows, 2, true, 0x0040'20a1), "P A PS high=0x1 frame=0x1");
}

// Every one-bit row appears under its name when its bit is set, and only then.
TEST(Formats, EachRowIsDescribedByItself) {
  for (const Shape& s : kShapes) {
    for (const BitRow& row : s.rows) {
      if ((row.levels & level_bit(s.level)) == 0) continue;
      if (row.kind == (s.leaf ? Kind::kTable : Kind::kLeaf)) continue;
      const std::string text = describe_bits(s.rows, s.level, s.leaf, row.mask());
      EXPECT_EQ(text.rfind(std::string(row.name.data(), row.name.size()), 0), 0u) << text;
      EXPECT_EQ(text.find(' '), std::string::npos) << text;
      EXPECT_FALSE(row.meaning.empty());
    }
  }
}

TEST(Formats, LongEntriesRoundTrip) {
  const PagingRules rules = rules_for(PagingMode::kLevel4, 52, true);
  for (unsigned level = 1; level <= 3; ++level) {
    for (Rights r = 0; r <= kAllRights; ++r) {
      for (const uint64_t base : {uint64_t{0}, uint64_t{1} << 30, uint64_t{0xf'ffff'c000'0000}}) {
        const uint64_t leaf = Long4::make_leaf(base, level, r);
        EXPECT_TRUE(Long4::present(leaf));
        EXPECT_TRUE(Long4::leaf(leaf, level, rules));
        EXPECT_FALSE(Long4::malformed(leaf, level, true, rules));
        EXPECT_EQ(Long4::rights(leaf, level, rules), r);
        EXPECT_EQ(Long4::leaf_base(leaf, level), base);
        const uint64_t table = Long4::make_table(base, r);
        EXPECT_EQ(Long4::leaf(table, level, rules), level == 1);
        EXPECT_EQ(Long4::rights(table, level, rules), r);
        EXPECT_EQ(Long4::table_base(table), base);
      }
    }
  }
  for (uint64_t key = 0; key < 16; ++key) EXPECT_EQ(Long4::key(key << 59), key);
}

// Indices cut the address into pieces that put it together again.
template <class Format>
void check_indices(uint64_t va) {
  uint64_t again = va & 0xfff;
  for (unsigned level = 1; level <= Format::kLevels; ++level) {
    again |= uint64_t{Format::index(Gva(va), level)} << Format::shift(level);
  }
  EXPECT_EQ(again, va & (~uint64_t{0} >> (64 - Format::kAddressBits)));
}

TEST(Formats, IndicesCoverTheAddress) {
  for (unsigned n = 0; n < 64; ++n) {
    for (const uint64_t va : {uint64_t{1} << n, ~uint64_t{0} << n, ~(uint64_t{1} << n)}) {
      check_indices<Long4>(va);
      check_indices<Long5>(va);
      check_indices<PaeFormat>(va);
      check_indices<Legacy32Format>(va);
      const auto top = static_cast<int64_t>(va);
      EXPECT_EQ(Long4::canonical(Gva(va)), top >> 47 == 0 || top >> 47 == -1);
      EXPECT_EQ(Long5::canonical(Gva(va)), top >> 56 == 0 || top >> 56 == -1);
      EXPECT_EQ(PaeFormat::canonical(Gva(va)), va <= 0xffff'ffff);
      EXPECT_EQ(Legacy32Format::canonical(Gva(va)), va <= 0xffff'ffff);
    }
  }
}

TEST(Formats, Pse36PutsTheHighAddressBitsTogether) {
  for (uint64_t high = 0; high < 256; ++high) {
    const auto pde = static_cast<uint32_t>(0xffc0'0083 | high << 13);
    EXPECT_EQ(Legacy32Format::leaf_base(pde, 2), high << 32 | 0xffc0'0000);
  }
}

}  // namespace
}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/nested/machine.h"

// How many references a walk makes in warm tables, and in what order.

namespace gnomon::nested_test {
namespace {

using Dimension = WalkReference::Dimension;

struct Case {
  absl::string_view name;
  PagingMode mode;
  PageSize guest;
  PageSize host;
  unsigned host_levels;
  unsigned references;
  bool pdptes_in_memory = false;
};

constexpr auto k4 = PagingMode::kLevel4;
constexpr auto k5 = PagingMode::kLevel5;
constexpr auto k4K = PageSize::k4K;
constexpr auto k2M = PageSize::k2M;
constexpr auto k1G = PageSize::k1G;

constexpr Case kCases[] = {
    {"4K on 4K", k4, k4K, k4K, 4, 24},
    {"4K on 2M", k4, k4K, k2M, 4, 19},
    {"4K on 1G", k4, k4K, k1G, 4, 14},
    {"2M on 4K", k4, k2M, k4K, 4, 19},
    {"2M on 2M", k4, k2M, k2M, 4, 15},
    {"2M on 1G", k4, k2M, k1G, 4, 11},
    {"1G on 4K", k4, k1G, k4K, 4, 14},
    {"1G on 2M", k4, k1G, k2M, 4, 11},
    {"1G on 1G", k4, k1G, k1G, 4, 8},
    {"4K on 4K, 5 host levels", k4, k4K, k4K, 5, 29},
    {"4K on 4K, 5 guest levels", k5, k4K, k4K, 4, 29},
    {"4K on 4K, 5 and 5 levels", k5, k4K, k4K, 5, 35},
    {"2M on 1G, 5 and 5 levels", k5, k2M, k1G, 5, 19},
    {"32-bit 4K on 4K", PagingMode::kLegacy32, k4K, k4K, 4, 14},
    {"32-bit 4M on 2M", PagingMode::kLegacy32, PageSize::k4M, k2M, 4, 7},
    {"PAE 4K, PDPTEs in registers", PagingMode::kPae, k4K, k4K, 4, 14},
    {"PAE 4K, PDPTEs in memory", PagingMode::kPae, k4K, k4K, 4, 19, true},
    {"PAE 2M on 2M, PDPTEs in memory", PagingMode::kPae, k2M, k2M, 4, 11, true},
    {"paging off", PagingMode::kOff, k4K, k4K, 4, 4},
};

TEST(References, WarmWalksMakeGuestTimesHost) {
  struct Backing {
    absl::string_view flavour, options;
    bool npt;
  };
  for (const Case& c : kCases) {
    for (const Backing& b : {Backing{"EPT", ",ad=on", false}, {"EPT", ",ad=off", false}, {"NPT", "", true}}) {
      SCOPED_TRACE(absl::StrCat(c.name, " ", b.flavour, b.options));
      const SlotOptions ram{.backing = c.host};
      CpuModel model;
      model.pdptes_in_memory = c.pdptes_in_memory;
      Machine m(c.mode, ram, 1 << 30, model, uint64_t{3} << 30);
      if (c.mode != PagingMode::kOff) m.map(Gva(0x4000'3000).page_base(c.guest), Gpa(0x3000).page_base(c.guest), c.guest);
      Nested n(m, absl::StrCat("levels=", c.host_levels, b.options), b.npt);
      const uint64_t va = c.mode == PagingMode::kOff ? 0x3000 : 0x4000'3abc;
      const Translation first = n.access(va, kWrite);
      ASSERT_TRUE(first.ok()) << to_string(first);
      EXPECT_EQ(n.references(va, kWrite), c.references);
      EXPECT_EQ(n.references(va, kRead), c.references);
      EXPECT_EQ(first.size, c.mode == PagingMode::kOff ? k4K
                            : c.guest == PageSize::k4M ? k2M : smaller(c.guest, c.host));
      EXPECT_EQ(n.findings(), "");
    }
  }
}

TEST(References, MaxPageMakesSmallerHostPages) {
  const SlotOptions ram{.backing = k1G};
  Machine m(k4, ram, 1 << 30, {}, uint64_t{3} << 30);
  m.map(Gva(0x1000), Gpa(0x5000));
  for (const auto& [page, references] : {std::pair("4K", 24u), {"2M", 19u}, {"1G", 14u}}) {
    Nested n(m, absl::StrCat("max_page=", page));
    n.access(0x1000);
    EXPECT_EQ(n.references(0x1000), references) << page;
    EXPECT_EQ(n.findings(), "");
  }
}

// The order of the 24 references of a walk with 4K pages in both dimensions, address by address.
TEST(References, GoldenOrder) {
  Machine m;
  m.map(Gva(0x4000'3000), Gpa(0x7000));
  Nested n(m);
  n.access(0x4000'3abc);
  std::vector<WalkReference> log;
  m.cpu.log = &log;
  const Translation t = n.access(0x4000'3abc);
  m.cpu.log = nullptr;

  struct Step {
    Dimension dimension;
    unsigned guest_level, level;
  };
  constexpr auto kHost = Dimension::kHost;
  constexpr auto kGuest = Dimension::kGuest;
  constexpr Step kOrder[] = {
      {kHost, 4, 4}, {kHost, 4, 3}, {kHost, 4, 2}, {kHost, 4, 1}, {kGuest, 4, 4},
      {kHost, 3, 4}, {kHost, 3, 3}, {kHost, 3, 2}, {kHost, 3, 1}, {kGuest, 3, 3},
      {kHost, 2, 4}, {kHost, 2, 3}, {kHost, 2, 2}, {kHost, 2, 1}, {kGuest, 2, 2},
      {kHost, 1, 4}, {kHost, 1, 3}, {kHost, 1, 2}, {kHost, 1, 1}, {kGuest, 1, 1},
      {kHost, 0, 4}, {kHost, 0, 3}, {kHost, 0, 2}, {kHost, 0, 1},
  };
  ASSERT_EQ(log.size(), 24u);
  const uint64_t entries[] = {0, m.entry_of(Gva(0x4000'3abc), 1).value(),
                              m.entry_of(Gva(0x4000'3abc), 2).value(),
                              m.entry_of(Gva(0x4000'3abc), 3).value(),
                              m.entry_of(Gva(0x4000'3abc), 4).value()};
  Hpa host_table;
  for (size_t i = 0; i < 24; ++i) {
    SCOPED_TRACE(i);
    const WalkReference& r = log[i];
    EXPECT_EQ(r.dimension, kOrder[i].dimension);
    EXPECT_EQ(r.guest_level, kOrder[i].guest_level);
    EXPECT_EQ(r.level, kOrder[i].level);
    if (r.dimension == kGuest) {
      EXPECT_EQ(r.address, entries[r.level]);
      EXPECT_EQ(r.entry, m.peek(Gpa(r.address)));
      continue;
    }
    EXPECT_EQ(m.host->owner(Hpa(r.address)), FrameOwner::kNestedTable);
    const uint64_t gpa = r.guest_level == 0 ? t.gpa.value() : entries[r.guest_level];
    if (r.level != 4) {
      EXPECT_EQ(Hpa(r.address).page_base(), host_table);
    }
    EXPECT_EQ(Hpa(r.address).offset_in(k4K), ((gpa >> (12 + 9 * (r.level - 1))) & 0x1ff) * 8);
    host_table = Hpa(r.entry & pte::kFrameMask);
    if (r.level == 1) {
      EXPECT_EQ(host_table, m.p2m.lookup(Gpa(gpa)).frame());
    }
  }
  EXPECT_EQ(t.hpa, host_table.with_offset(k4K, 0xabc));
}

TEST(References, ColdWalkRestartsAfterEachViolation) {
  Machine m;
  m.map(Gva(0x1000), Gpa(0x7000));
  Nested n(m);
  // Each guest table and the data page are one violation. All lie in one 2M region, so after the first
  // the host's upper levels are there.
  n.access(0x1000);
  EXPECT_EQ(n.count(Counter::kExitNestedViolation), 5u);
  EXPECT_EQ(n.count(Counter::kNestedFills), 5u);
  EXPECT_EQ(n.count(Counter::kWalks), 6u);
  EXPECT_EQ(n.mmu->table_bytes(), 4 * bytes_of(k4K));
  // No root, no reference; then the walk gets one guest level further each time.
  EXPECT_EQ(m.cpu.counters.walk_references(), 0u + 9 + 14 + 19 + 24 + 24);
}

}  // namespace
}  // namespace gnomon::nested_test

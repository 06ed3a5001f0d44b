// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gnomon/tlb/walk_caches.h"
#include "tests/nested/machine.h"

// What exits, what does not, and how the VMM answers.

namespace gnomon::nested_test {
namespace {


TEST(Violations, GuestFaultsDoNotExit) {
  Machine m;
  m.map(Gva(kVa), Gpa(0x7000), PageSize::k4K, pte::kPresent | pte::kUser);
  Nested n(m);
  EXPECT_TRUE(n.access(kVa).ok());
  const uint64_t exits = m.cpu.counters.exits();
  const Translation write = n.access(kVa, kWrite);
  EXPECT_EQ(write.outcome, Outcome::kGuestFault);
  EXPECT_EQ(write.error_code, pf::kPresent | pf::kWrite | pf::kUser);
  EXPECT_EQ(write.level, 1);
  const Translation absent = n.access(kVa + 0x1000);
  EXPECT_EQ(absent.outcome, Outcome::kGuestFault);
  EXPECT_EQ(absent.error_code, pf::kUser);
  EXPECT_EQ(m.cpu.counters.exits(), exits);
  EXPECT_EQ(n.count(Counter::kGuestFaults), 2u);
}

TEST(Violations, MmioExitsEachTime) {
  Machine m;
  ASSERT_TRUE(m.p2m.add_mmio(Gpa(0xfee0'0000), 0x1000).ok());
  m.map(Gva(kVa), Gpa(0xfee0'0000));
  Nested n(m);
  for (uint64_t i = 1; i <= 3; ++i) {
    const Translation t = n.access(kVa + 0x20, kWrite);
    EXPECT_EQ(t.outcome, Outcome::kHostViolation);
    EXPECT_EQ(t.cause, HostCause::kMmio);
    EXPECT_EQ(t.gpa, Gpa(0xfee0'0020));
    EXPECT_EQ(n.count(Counter::kExitMmio), i);
    EXPECT_EQ(n.count(Counter::kMmioAccesses), i);
  }
  EXPECT_EQ(n.findings(), "");
}

TEST(Violations, WriteToReadOnlySlot) {
  Machine m;
  ASSERT_TRUE(m.p2m.add_slot(Gpa(0x1000'0000), 0x1000, {.rom = true}).ok());
  m.map(Gva(kVa), Gpa(0x1000'0000));
  Nested n(m);
  const Translation read = n.access(kVa);
  EXPECT_TRUE(read.ok());
  EXPECT_FALSE(read.dirty);
  const Translation write = n.access(kVa, kWrite);
  EXPECT_EQ(write.outcome, Outcome::kHostViolation);
  EXPECT_EQ(write.cause, HostCause::kReadOnly);
  EXPECT_EQ(n.findings(), "");
}

// With EPT A/D a walk "writes" the guest's tables: the VMM has to carry the access out each time.
TEST(Violations, GuestTableInRom) {
  for (const bool ad : {false, true}) {
    Machine m;
    ASSERT_TRUE(m.p2m.add_slot(Gpa(0x1000'0000), 0x1000, {.rom = true}).ok());
    m.poke(m.entry_of(Gva(kVa), 2), 0x1000'0000 | kUserPage);
    m.poke(Gpa(0x1000'0000), 0x7000 | kUserPage | pte::kAccessed);
    Nested n(m, ad ? "ad=on" : "ad=off");
    n.access(kVa);
    const uint64_t exits = m.cpu.counters.exits();
    const Translation t = n.access(kVa);
    EXPECT_TRUE(t.ok());
    EXPECT_EQ(t.gpa, Gpa(0x7000));
    EXPECT_EQ(t.cacheable, !ad);
    EXPECT_EQ(m.cpu.counters.exits() - exits, ad ? 1u : 0u);
    EXPECT_EQ(n.count(Counter::kEmulatedAccesses), ad ? 2u : 0u);
    // The dirty flag cannot be set.
    const Translation write = n.access(kVa, kWrite);
    EXPECT_EQ(write.outcome, Outcome::kHostViolation);
    EXPECT_EQ(write.cause, HostCause::kReadOnly);
    EXPECT_EQ(write.level, 1);
    EXPECT_EQ(write.gpa, Gpa(0x1000'0000));
  }
}

TEST(Violations, DirtyLoggedDataPage) {
  Machine m;
  m.map(Gva(kVa), Gpa(0x70'0000));
  Nested n(m);
  EXPECT_TRUE(n.access(kVa, kWrite).dirty);
  m.p2m.start_dirty_log(Gpa(0x70'0000), 1);
  EXPECT_EQ(n.findings(), "");
  const uint64_t exits = m.cpu.counters.exits();
  EXPECT_FALSE(n.access(kVa).dirty);  // still readable, without an exit
  EXPECT_EQ(m.cpu.counters.exits(), exits);
  EXPECT_TRUE(n.access(kVa, kWrite).dirty);
  EXPECT_EQ(m.cpu.counters.exits(), exits + 1);
  EXPECT_EQ(n.access(kVa, kWrite).size, PageSize::k4K);
  EXPECT_EQ(m.cpu.counters.exits(), exits + 1);
  EXPECT_EQ(m.p2m.take_dirty(Gpa(0), 1 << 14), std::vector<Gpa>{Gpa(0x70'0000)});
  EXPECT_EQ(n.findings(), "");
}

// With EPT A/D the processor treats its reads of guest paging-structure entries as writes (SDM vol. 3, "Accessed and
// Dirty Flags for EPT"), so every table that a walk reads is rightly dirty to the log.
TEST(Violations, DirtyLoggedGuestTable) {
  for (const bool ad : {false, true}) {
    Machine m;
    m.map(Gva(kVa), Gpa(0x70'0000), PageSize::k4K, kUserPage | pte::kAccessed);
    const Gpa table = m.entry_of(Gva(kVa), 1).page_base();
    Nested n(m, ad ? "ad=on" : "ad=off");
    n.access(kVa);
    m.p2m.start_dirty_log(table, 1);
    EXPECT_TRUE(n.access(kVa).ok());
    EXPECT_EQ(m.p2m.take_dirty(table, 1).size(), ad ? 1u : 0u);  // reads count as writes with A/D
    EXPECT_TRUE(n.access(kVa, kWrite).dirty);                    // sets the dirty flag in the table
    EXPECT_EQ(m.p2m.take_dirty(table, 1).size(), 1u);
    EXPECT_NE(m.peek(m.entry_of(Gva(kVa), 1)) & pte::kDirty, 0u);
    EXPECT_EQ(n.findings(), "");
  }
}

TEST(Violations, HostFlagsOfGuestTables) {
  Machine m;
  m.map(Gva(kVa), Gpa(0x70'0000), PageSize::k4K, kUserPage);
  Nested n(m);
  std::vector<WalkReference> log;
  n.access(kVa);
  m.cpu.log = &log;
  n.access(kVa);
  m.cpu.log = nullptr;
  unsigned leaves = 0;
  for (const WalkReference& r : log) {
    if (r.dimension != WalkReference::Dimension::kHost) continue;
    EXPECT_NE(r.entry & ept::kAccessed, 0u);
    if (r.level != 1) continue;
    ++leaves;
    EXPECT_EQ((r.entry & ept::kDirty) != 0, r.guest_level != 0);  // the data page was only read
  }
  EXPECT_EQ(leaves, 5u);
}

TEST(Violations, SlotBeyondTheHostsLevels) {
  const uint64_t base = uint64_t{1} << 48;
  for (const unsigned levels : {4u, 5u}) {
    Machine m(PagingMode::kLevel4, {}, 64 << 20, {.maxphyaddr = 52});
    ASSERT_TRUE(m.p2m.add_slot(Gpa(base), 0x1000).ok());
    m.map(Gva(kVa), Gpa(base));
    Nested n(m, absl::StrCat("levels=", levels));
    const Translation t = n.access(kVa, kWrite);
    EXPECT_TRUE(t.ok());  // with four levels the VMM carries it out each time
    EXPECT_EQ(t.hpa, m.p2m.lookup(Gpa(base)).frame());
    EXPECT_EQ(t.cacheable, levels == 5);
    EXPECT_EQ(n.findings(), "");
  }
}

// No frame is left for tables: slower, never wrong.
TEST(Violations, HostWithoutMemoryForTables) {
  Machine m;
  m.map(Gva(kVa), Gpa(0x7000));
  m.map(Gva(kVa + 0x1000), Gpa(0x100'0000));
  for (uint64_t at = 0; at < 0x20'0000; at += 0x1000) m.p2m.back(Gpa(at));
  m.p2m.back(Gpa(0x100'0000));
  std::vector<Hpa> hog;
  while (const auto frame = m.host->allocate(FrameOwner::kVmm)) hog.push_back(*frame);
  for (size_t given = 0; given < 8; ++given) {
    Nested n(m);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(n.access(kVa, kWrite).hpa, m.p2m.lookup(Gpa(0x7000)).frame());
      EXPECT_EQ(n.access(kVa + 0x1000).hpa, m.p2m.lookup(Gpa(0x100'0000)).frame());
      EXPECT_EQ(n.findings(), "");
    }
    EXPECT_EQ(n.access(kVa).cacheable, given >= 4) << given;
    m.host->free(hog.back());
    hog.pop_back();
  }
}

TEST(Violations, GivesTablesBackWhenTheHostIsFull) {
  Machine m;
  m.map(Gva(kVa), Gpa(0x7000));
  m.map(Gva(kVa + 0x1000), Gpa(0x100'0000));
  Nested n(m);
  n.access(kVa);
  while (m.host->allocate(FrameOwner::kVmm)) {
  }
  EXPECT_TRUE(n.access(kVa + 0x1000).ok());  // backed with a frame that was a nested table
  EXPECT_TRUE(n.access(kVa).ok());
  EXPECT_EQ(n.findings(), "");
}

TEST(Violations, CachesShortenWalks) {
  WalkCacheConfig config;
  for (unsigned level = 2; level <= 4; ++level) config.guest[level] = config.host[level] = {16, 4};
  const auto caches = WalkCaches::create(config).value();
  Machine m;
  m.map(Gva(kVa), Gpa(0x70'0000));
  m.map(Gva(kVa + 0x1000), Gpa(0x70'1000), PageSize::k4K, kUserPage);
  Nested n(m);
  const Translation cold = n.access(kVa);
  m.cpu.caches = caches.get();
  EXPECT_EQ(n.access(kVa), cold);
  // The guest's page table is known by host address (1 reference), the host's by guest address (1).
  EXPECT_EQ(n.references(kVa), 2u);
  EXPECT_EQ(n.access(kVa), cold);
  EXPECT_TRUE(n.access(kVa + 0x1000, kWrite).dirty);  // flags in a table found by its host address
  EXPECT_NE(m.peek(m.entry_of(Gva(kVa + 0x1000), 1)) & pte::kDirty, 0u);
  // A change of the p2m: no cached address survives.
  const Gpa table = m.entry_of(Gva(kVa), 1).page_base();
  ASSERT_TRUE(m.p2m.remap(table).ok());
  ASSERT_TRUE(m.p2m.remap(Gpa(0x70'0000)).ok());
  EXPECT_EQ(n.access(kVa).hpa, m.p2m.lookup(Gpa(0x70'0000)).frame());
  m.cpu.caches = nullptr;
}

TEST(Violations, NestedTlbSkipsHostWalks) {
  WalkCacheConfig config;
  config.nested = {64, 0};
  const auto caches = WalkCaches::create(config).value();
  Machine m;
  m.map(Gva(kVa), Gpa(0x70'0000));
  for (const absl::string_view options : {"ad=on", "ad=off"}) {
    Nested n(m, options);
    m.cpu.gate.flush_request = false;
    m.cpu.caches = caches.get();
    n.access(kVa);
    EXPECT_EQ(n.references(kVa), 4u);
    // Dirty logging takes the permission to write from tables and data.
    m.p2m.start_dirty_log(Gpa(0), 0x1000);
    caches->flush_all();
    m.cpu.gate.flush_request = false;
    EXPECT_TRUE(n.access(kVa).ok());
    m.poke(m.entry_of(Gva(kVa), 1), 0x70'0000 | kUserPage);
    const uint64_t emulated = n.count(Counter::kEmulatedAccesses);
    EXPECT_TRUE(n.access(kVa, kWrite).dirty);
    EXPECT_EQ(n.count(Counter::kEmulatedAccesses), emulated);
    m.p2m.stop_dirty_log(Gpa(0), 0x1000);
    m.cpu.caches = nullptr;
    EXPECT_EQ(n.findings(), "");
  }
}

}  // namespace
}  // namespace gnomon::nested_test

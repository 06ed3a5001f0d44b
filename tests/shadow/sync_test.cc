// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"

// Out-of-sync leaf tables: one trap for a burst of writes, brought back when the guest flushes; and
// entries made ahead of need.

namespace gnomon::shadow_test {
namespace {

class Unsync : public ::testing::Test {
 protected:
  Unsync() {
    for (uint64_t i = 1; i <= 4; ++i) m.map(i << 12, 0x5000 + (i << 12), kUsed);
    for (uint64_t i = 1; i <= 4; ++i) m.expect_mapped(i << 12, 0x5000 + (i << 12), kWrite);
    for (uint64_t i = 0; i <= 4; ++i) m.p2m.back(Gpa(0xf000 + (i << 12)));
    m.mark();
  }
  Machine m{"shadow:prefetch=0"};
};

TEST_F(Unsync, FirstWriteTrapsLaterOnesAreFree) {
  for (uint64_t i = 1; i <= 4; ++i) m.map(i << 12, 0xf000 + (i << 12), kUsed);
  EXPECT_EQ(m.since(Counter::kTableWrites), 4u);
  EXPECT_EQ(m.since(Counter::kExitTableWrite), 1u);
  EXPECT_EQ(m.since(Counter::kUnsync), 1u);
  EXPECT_EQ(m.since(Counter::kTableWritesApplied), 0u);
  EXPECT_TRUE(m.unsync(m.table_at(0x1000, 1)));
  m.expect_mapped(0x2000, 0x7000);  // stale, and rightly so: the guest did not flush
  m.expect_sound();
}

TEST_F(Unsync, FirstStoreThroughAMappingTrapsLaterOnesAreFree) {
  const Gpa table = m.table_at(0x1000, 1);
  m.map(0x4000'0000, table.value(), kUsed);  // of another leaf table
  m.mark();
  m.guest_store(0x4000'0008, 0xf000 | kUsed);
  EXPECT_EQ(m.since(Counter::kExitTableWrite), 1u);
  EXPECT_EQ(m.since(Counter::kExitPageFault), 0u);
  EXPECT_EQ(m.since(Counter::kUnsync), 1u);
  for (uint64_t i = 2; i <= 4; ++i)
    m.guest_store(0x4000'0000 + 8 * i, (0xf000 + (i << 12)) | kUsed);
  EXPECT_EQ(m.since(Counter::kExitTableWrite), 1u);
  EXPECT_EQ(m.since(Counter::kWalks), 5u);  // the first store walked twice
  m.flush();
  EXPECT_EQ(m.since(Counter::kWriteProtected), 1u);
  m.expect_mapped(0x1000, 0xf000);
  for (uint64_t i = 2; i <= 4; ++i) m.expect_mapped(i << 12, 0xf000 + (i << 12));
  m.guest_store(0x4000'0008, 0x5000 | kUsed);
  EXPECT_EQ(m.since(Counter::kExitTableWrite), 2u);  // watched again
}

TEST_F(Unsync, Cr3LoadSyncs) {
  m.map(0x1000, 0xf000, kUsed);
  m.map(0x2000, 0x7000, kP | kU | kA);
  m.unmap(0x3000);
  m.flush();
  EXPECT_FALSE(m.unsync(m.table_at(0x1000, 1)));
  EXPECT_EQ(m.since(Counter::kSyncedPages), 1u);
  EXPECT_EQ(m.since(Counter::kSyncDroppedEntries), 1u);
  EXPECT_THAT(m.mappings(),
              ElementsAre("1000>f000 4K wux", "2000>7000 4K -ux", "4000>9000 4K wux"));
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 0u);
  m.flush();
  EXPECT_EQ(m.since(Counter::kSyncedPages), 1u);  // nothing left to do
}

TEST_F(Unsync, InvlpgSyncsOneEntryOnly) {
  for (uint64_t i = 1; i <= 4; ++i) m.map(i << 12, 0xf000 + (i << 12), kUsed);
  m.invlpg(0x2abc);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>6000 4K wux", "2000>11000 4K wux", "3000>8000 4K wux",
                                        "4000>9000 4K wux"));
  EXPECT_TRUE(m.unsync(m.table_at(0x1000, 1)));
  EXPECT_EQ(m.since(Counter::kExitInvlpg), 1u);
  EXPECT_EQ(m.since(Counter::kSyncedPages), 0u);
  m.map(0x4000, 0, 0);
  m.invlpg(0x4000);
  m.expect_fault(0x4000, pf::kUser);
  m.expect_mapped(0x3000, 0x8000);
  EXPECT_EQ(m.since(Counter::kExitTableWrite), 1u);  // still out of sync: free
}

TEST_F(Unsync, InvlpgOfAnAddressWithoutShadowDoesNothing) {
  m.invlpg(0x7f00'0000'0000);
  m.invlpg(0xffff'8000'0000'0000);
  m.invlpg(0x8000'0000'0000);  // not canonical
  EXPECT_EQ(m.mappings().size(), 4u);
  EXPECT_EQ(m.since(Counter::kShadowPagesCreated), 0u);
}

// What another link leads to must not be stale: making an entry present needs no flush.
TEST_F(Unsync, NewLinkToAnUnsyncTableSyncsItFirst) {
  m.map(0x1000, 0xf000, kUsed);
  m.store_pte(m.entry_at(0x4000'0000, 2), m.table_at(0x1000, 1).value() | kUser);
  m.expect_mapped(0x4000'1000, 0xf000);
  EXPECT_EQ(m.since(Counter::kSyncedPages), 1u);
  EXPECT_EQ(m.pages_of(m.table_at(0x1000, 1)), 1u);
  EXPECT_FALSE(m.unsync(m.table_at(0x1000, 1)));
  m.expect_mapped(0x1000, 0xf000);
}

// The same one level up: the link leads to a directory in sync, above a table that is not.
TEST_F(Unsync, NewLinkAboveAnUnsyncTableSyncsItFirst) {
  m.map(0x1000, 0xf000, kUsed);
  m.store_pte(m.entry_at(0x80'0000'0000, 3), m.table_at(0x1000, 2).value() | kUser);
  m.expect_mapped(0x80'0000'1000, 0xf000);
  EXPECT_EQ(m.since(Counter::kSyncedPages), 1u);
}

TEST_F(Unsync, TableUsedAsDirectoryTooStaysInSync) {
  const Gpa table = m.table_at(0x1000, 1);
  m.store_pte(m.entry_at(0x80'0000'0000, 3), table.value() | kUser);
  m.store_pte(Gpa(0x6000), 0x8000 | kUsed);  // what 0x1000 maps is a table as well, then
  m.expect_mapped(0x80'0020'0000, 0x8000);
  EXPECT_EQ(m.pages_of(table), 2u);
  m.mark();
  m.map(0x1000, 0xf000, kUsed);
  EXPECT_EQ(m.since(Counter::kUnsync), 0u);
  EXPECT_EQ(m.since(Counter::kTableWritesApplied), 1u);
  m.expect_mapped(0x1000, 0xf000);
}

TEST_F(Unsync, EntryChangesFromPageToDeviceAndBack) {
  m.map(0x1000, kDevice, kUsed);
  m.flush();
  EXPECT_EQ(m.since(Counter::kSyncDroppedEntries), 1u);
  EXPECT_EQ(m.touch(0x1000).cause, HostCause::kMmio);
  EXPECT_EQ(m.mappings()[0], "1000>mmio f0000000");
  m.map(0x1000, 0x5000, kUsed);
  m.flush();
  m.expect_mapped(0x1000, 0x5000);
}

TEST(Invpcid, ReachesThePcidsItNames) {
  struct Case {
    InvpcidType type;
    uint16_t pcid;
    bool one, two;  // is 0x1000 up to date in PCID 1, in PCID 2?
    bool other;     // and 0x2000 in PCID 1?
  };
  const Case cases[] = {
      {InvpcidType::kAddress, 1, true, false, false},
      {InvpcidType::kAddress, 2, false, true, false},
      {InvpcidType::kAddress, 3, false, false, false},
      {InvpcidType::kContext, 1, true, false, true},
      {InvpcidType::kContext, 2, false, true, false},
      {InvpcidType::kAllWithGlobals, 0, true, true, true},
      {InvpcidType::kAll, 0, true, true, true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(absl::StrCat("type ", static_cast<int>(c.type), " pcid ", c.pcid));
    Machine m("shadow:prefetch=0", {.cr4 = cr4::kPCIDE});
    const Gpa other = m.new_table();
    const Gpa first = m.first_root();
    for (const uint64_t gpa : {0xf000, 0x1'0000}) m.p2m.back(Gpa(gpa));
    for (const auto& [root, pcid] : {std::pair(first, 1), std::pair(other, 2)}) {
      m.map_in(root, 0x1000, 0x5000, kUsed);
      m.map_in(root, 0x2000, 0x6000, kUsed);
      m.switch_to(root, static_cast<uint16_t>(pcid));
      m.expect_mapped(0x1000, 0x5000);
      m.expect_mapped(0x2000, 0x6000);
    }
    m.switch_to(first, 1, false);
    for (const Gpa root : {first, other}) {
      m.map_in(root, 0x1000, 0xf000, kUsed);
      m.map_in(root, 0x2000, 0x1'0000, kUsed);
    }
    m.invpcid(c.type, c.pcid, 0x1000);
    const std::vector<std::string> list = m.mappings();
    EXPECT_THAT(list, ElementsAre(c.one ? "1000>f000 4K wux" : "1000>5000 4K wux",
                                  c.other ? "2000>10000 4K wux" : "2000>6000 4K wux"));
    // In the other tree, as far as it can be seen without a CR3 load.
    const bool synced = !m.unsync(m.table_at(0x1000, 1, other));
    EXPECT_EQ(synced, c.two && c.type != InvpcidType::kAddress);
    m.switch_to(other, 2, false);
    m.expect_mapped(0x1000, 0xf000);
    m.switch_to(first, 1);
    m.expect_mapped(0x2000, 0x1'0000);
  }
}

TEST(Prefetch, FillsTheAlignedGroup) {
  for (const unsigned n : {0u, 1u, 2u, 8u, 64u}) {
    Machine m(absl::StrCat("shadow:prefetch=", n));
    for (uint64_t i = 0; i < 512; ++i) m.map(i << 12, 0x5000, kP | kU | kA);
    m.mark();
    m.expect_mapped(100 << 12, 0x5000);
    const unsigned group = n < 2 ? 1 : n;
    EXPECT_EQ(m.since(Counter::kPrefetched), group - 1);
    const std::vector<std::string> list = m.mappings();
    ASSERT_EQ(list.size(), group);
    const uint64_t first = 100 & ~uint64_t{group - 1};
    for (unsigned i = 0; i < group; ++i) {
      EXPECT_EQ(list[i], absl::StrCat(absl::Hex((first + i) << 12), ">5000 4K -ux"));
    }
    for (uint64_t i = 0; i < 512; ++i) m.expect_mapped(i << 12, 0x5000);
    EXPECT_EQ(m.since(Counter::kHiddenFaults), 512 / group);
  }
}

TEST(Prefetch, OnlyWhatNeedsNoFlagOfTheGuest) {
  Machine m("shadow:prefetch=8");
  ASSERT_TRUE(m.p2m.balloon(Gpa(0x9000)).ok());
  m.map(0x0000, 0x4000, kUser | kD);  // not accessed
  m.map(0x1000, 0x5000, kUsed);
  m.map(0x2000, 0x6000, kUser | kA);               // clean: without W
  m.map(0x3000, kDevice, kUsed);                   // no marker ahead of need
  m.map(0x4000, 0x7000, kUsed | 1ull << 50);       // malformed
  m.map(0x5000, 0x9000, kUsed);                    // ballooned
  m.map(0x6000, 0xa000, kA | kD);                  // not present
  m.map(0x7000, m.table_at(0, 2).value(), kUsed);  // a tracked table
  m.p2m.back(Gpa(0x5000));
  m.p2m.back(Gpa(0x6000));
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_THAT(m.mappings(),
              ElementsAre("1000>5000 4K wux", "2000>6000 4K -ux",
                          absl::StrCat("7000>", absl::Hex(m.table_at(0, 2).value()), " 4K -ux")));
  EXPECT_EQ(m.pte(0x0000), 0x4000 | kUser | kD);  // and it sets none
  EXPECT_EQ(m.pte(0x2000), 0x6000 | kUser | kA);
}

}  // namespace
}  // namespace gnomon::shadow_test

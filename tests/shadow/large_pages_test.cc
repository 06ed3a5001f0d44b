// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"

// Guest pages of 2M, 4M and 1G over host pages of any size.

namespace gnomon::shadow_test {
namespace {

TEST(LargePages, GuestTwoMegOverSmallHostIsSplintered) {
  Machine m("shadow");
  m.map(0x40'0000, 0x80'0000, kUser, k2M);
  m.mark();
  m.expect_mapped(0x40'3000, 0x80'3000);
  m.expect_mapped(0x5f'f000, 0x9f'f000, kWrite);
  EXPECT_EQ(m.since(Counter::kSplintered), 2u);
  EXPECT_EQ(m.since(Counter::kShadowLargeFills), 0u);
  EXPECT_EQ(m.since(Counter::kPrefetched), 0u);
  // The first piece was made for a clean page: writable pieces hang in a page of their own.
  EXPECT_THAT(m.mappings(), ElementsAre("5ff000>9ff000 4K wux"));
  m.expect_mapped(0x40'3000, 0x80'3000, kWrite);
  EXPECT_THAT(m.mappings(), ElementsAre("403000>803000 4K wux", "5ff000>9ff000 4K wux"));
  const Translation t = m.touch(0x40'3000);
  EXPECT_TRUE(t.splintered);
  EXPECT_EQ(t.size, PageSize::k4K);
}

TEST(LargePages, HostPageIsSplitAndPromotedBehindTheGuest) {
  Machine m("shadow", {.ram = {.backing = k2M}});
  m.map(0x40'0000, 0x80'0000, kUsed, k2M);
  m.mark();
  m.expect_mapped(0x40'3000, 0x80'3000);
  EXPECT_THAT(m.mappings(), ElementsAre("400000>800000 2M wux"));
  EXPECT_EQ(m.since(Counter::kShadowLargeFills), 1u);
  EXPECT_EQ(m.walk(0x40'3000).size(), 3u);

  ASSERT_TRUE(m.p2m.split(Gpa(0x80'5000)).ok());
  EXPECT_THAT(m.mappings(), IsEmpty());
  m.expect_mapped(0x40'3000, 0x80'3000);
  EXPECT_THAT(m.mappings(), ElementsAre("403000>803000 4K wux"));
  EXPECT_EQ(m.walk(0x40'3000).size(), 4u);
  EXPECT_EQ(m.since(Counter::kSplintered), 1u);

  ASSERT_TRUE(m.p2m.promote(Gpa(0x80'5000)).ok());
  EXPECT_THAT(m.mappings(), IsEmpty());
  m.expect_mapped(0x40'4000, 0x80'4000);
  EXPECT_THAT(m.mappings(), ElementsAre("400000>800000 2M wux"));
  EXPECT_EQ(m.walk(0x40'3000).size(), 3u);
  EXPECT_EQ(m.since(Counter::kShadowLargeFills), 2u);
}

TEST(LargePages, BallooningOneFrameKeepsTheRest) {
  Machine m("shadow", {.ram = {.backing = k2M}});
  m.map(0x40'0000, 0x80'0000, kUsed, k2M);
  m.expect_mapped(0x40'3000, 0x80'3000);
  ASSERT_TRUE(m.p2m.balloon(Gpa(0x80'3000)).ok());
  EXPECT_EQ(m.touch(0x40'3000).cause, HostCause::kBallooned);
  for (uint64_t i = 0; i < 512; ++i) {
    if (i != 3) m.expect_mapped(0x40'0000 + (i << 12), 0x80'0000 + (i << 12), kWrite);
  }
  EXPECT_EQ(m.mappings().size(), 511u);
  ASSERT_TRUE(m.p2m.deflate(Gpa(0x80'3000)).ok());
  m.expect_mapped(0x40'3000, 0x80'3000, kWrite);
}

// A table inside the region could not be write-protected on its own.
TEST(LargePages, TableInsideTheRegionForcesSmallEntries) {
  Machine m("shadow:unsync=off", {.ram = {.backing = k2M}});
  m.map(0x40'0000, 0x80'0000, kUsed, k2M);
  m.expect_mapped(0x40'3000, 0x80'3000, kWrite);
  EXPECT_THAT(m.mappings(), ElementsAre("400000>800000 2M wux"));
  // A frame of the page becomes a table in use.
  m.store_pte(m.entry_at(0x4000'0000, 2), 0x80'7000 | kUser);
  m.store_pte(Gpa(0x80'7000), 0x6000 | kUsed);
  m.expect_mapped(0x4000'0000, 0x6000);
  EXPECT_THAT(m.mappings(), ElementsAre("40000000>6000 4K wux"));
  m.expect_mapped(0x40'3000, 0x80'3000, kWrite);
  EXPECT_TRUE(m.touch(0x40'7000, kWrite).trapped);
  m.expect_mapped(0x40'7000, 0x80'7000);
  EXPECT_THAT(m.mappings(),
              ElementsAre("403000>803000 4K wux", "407000>807000 4K -ux", "40000000>6000 4K wux"));
  // It stops being one: large again, once the small entries are gone.
  m.store_pte(m.entry_at(0x4000'0000, 2), 0);
  m.flush();
  m.mmu->drop_caches();
  m.expect_mapped(0x40'7000, 0x80'7000, kWrite);
  EXPECT_THAT(m.mappings(), ElementsAre("400000>800000 2M wux"));
}

// The guest's own tables lie in the page it maps large: the path to the page is inside the page.
TEST(LargePages, ThePathItselfLiesInThePage) {
  for (const absl::string_view spec :
       {"shadow", "shadow:unsync=off", "shadow:directory=full-trap"}) {
    Machine m(spec, {.ram = {.backing = k2M}});
    const uint64_t at = 0x80'0000;
    m.store_pte(Gpa(at), (at + 0x1000) | kUser);
    m.store_pte(Gpa(at + 0x1000), (at + 0x2000) | kUser);
    m.store_pte(Gpa(at + 0x2000 + 4 * 8), at | kUsed | kPS);
    m.switch_to(Gpa(at));
    const Translation t = m.touch(at + 0x2000, kWrite);
    EXPECT_TRUE(t.ok() && t.trapped) << to_string(t);
    m.expect_mapped(at + 0x5000, at + 0x5000, kWrite);
    EXPECT_EQ(m.total()[Counter::kShadowLargeFills], 0u);
    EXPECT_EQ(m.guest_load(at), (at + 0x1000) | kUser | kA);
    m.guest_store(at + 0x2000 + 4 * 8, 0);
    m.flush();
    m.expect_fault(at + 0x5000, pf::kUser);
  }
}

TEST(LargePages, GuestOneGigOverAnyHost) {
  struct Host {
    PageSize backing;
    absl::string_view entry;
    unsigned references;
  };
  for (const Host& h :
       {Host{PageSize::k4K, "40003000>3000 4K wux", 4}, Host{k2M, "40000000>0 2M wux", 3},
        Host{PageSize::k1G, "40000000>0 1G wux", 2}}) {
    Machine m("shadow", {.ram = {.backing = h.backing}, .ram_bytes = 1_GiB, .host_bytes = 3_GiB});
    m.map(0x4000'0000, 0, kUsed, PageSize::k1G);
    m.expect_mapped(0x4000'3000, 0x3000);
    EXPECT_THAT(m.mappings(), ElementsAre(std::string(h.entry)));
    EXPECT_EQ(m.walk(0x4000'3000).size(), h.references);
    m.expect_mapped(0x7fff'f000, 0x3fff'f000, kWrite);
  }
}

// A 4M page becomes two entries of 2M; each half may have another host page size.
TEST(LargePages, GuestFourMegIsTwoEntries) {
  Machine m("shadow", {.mode = PagingMode::kLegacy32, .ram = {.backing = k2M}});
  m.map(0x40'0000, 0x80'0000, kUsed, PageSize::k4M);
  m.expect_mapped(0x40'3000, 0x80'3000);
  EXPECT_TRUE(m.touch(0x40'3000).splintered);
  EXPECT_THAT(m.mappings(), ElementsAre("400000>800000 2M wux"));
  m.expect_mapped(0x7f'f000, 0xbf'f000, kWrite);
  EXPECT_THAT(m.mappings(), ElementsAre("400000>800000 2M wux", "600000>a00000 2M wux"));
  ASSERT_TRUE(m.p2m.split(Gpa(0xa0'0000)).ok());
  m.expect_mapped(0x60'1000, 0xa0'1000);
  EXPECT_THAT(m.mappings(), ElementsAre("400000>800000 2M wux", "601000>a01000 4K wux"));
  // The guest changes it to a table: both halves go.
  const Gpa table = m.new_table();
  m.store_pte(table, 0x5000 | kUsed);
  m.store_pte(m.entry_at(0x40'0000, 2), table.value() | kUser);
  m.flush();
  EXPECT_THAT(m.mappings(), IsEmpty());
  m.expect_mapped(0x40'0000, 0x5000);
  m.expect_fault(0x60'1000, pf::kUser);
}

// Two guest pages of other rights over the same frames share no direct page.
TEST(LargePages, DirectPagesAreKeyedByRightsKeyAndGlobal) {
  Machine m("shadow", {.cr4 = cr4::kPKE | cr4::kPGE});
  const uint64_t flags[] = {kUsed, kP | kU | kA | kD, kUsed | kXD, kUsed | kG,
                            kUsed | 3ull << pte::kKeyShift};
  uint64_t va = 0x4000'0000;
  for (const uint64_t f : flags) {
    m.map(va, 0x80'0000, f, k2M);
    m.expect_mapped(va + 0x3000, 0x80'3000);
    va += 2_MiB;
  }
  m.map(va, 0x80'0000, kUsed, k2M);  // as the first
  m.mark();
  m.expect_mapped(va + 0x5000, 0x80'5000);
  EXPECT_EQ(m.since(Counter::kShadowPagesCreated), 0u);
  EXPECT_EQ(m.since(Counter::kShadowPagesReused), 1u);
  m.expect_mapped(0x4000'5000, 0x80'5000);
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 1u);  // filled for both at once
  m.expect_fault(0x4020'3000, pf::kPresent | pf::kWrite | pf::kUser, kWrite);
  m.expect_fault(0x4040'3000, pf::kPresent | pf::kFetch | pf::kUser, kFetch);
  EXPECT_TRUE(m.touch(0x4060'3000).global);
  EXPECT_EQ(m.touch(0x4080'3000).key, 3);
}

}  // namespace
}  // namespace gnomon::shadow_test

// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"

// Roots: cached ones, PCIDs, guests that have fewer levels than the processor, and 5-level guests.

namespace gnomon::shadow_test {
namespace {

// Round robin over n spaces: all loads after the first round hit if the others fit in the cache.
TEST(CachedRoots, HitWhenTheSpacesFit) {
  for (const unsigned roots : {0u, 1u, 3u}) {
    for (const unsigned spaces : {1u, 2u, 3u, 4u, 5u}) {
      for (const uint64_t bits : {uint64_t{0}, cr4::kPCIDE}) {
        SCOPED_TRACE(absl::StrCat("roots ", roots, " spaces ", spaces));
        Machine m(absl::StrCat("shadow:prefetch=0,roots=", roots), {.cr4 = bits});
        std::vector<Gpa> space{m.first_root()};
        while (space.size() < spaces) space.push_back(m.new_table());
        for (unsigned i = 0; i < spaces; ++i) m.map_in(space[i], 0x1000, 0x5000 + (i << 12), kUsed);
        const auto round = [&] {
          for (unsigned i = 0; i < spaces; ++i) {
            m.switch_to(space[i], bits == 0 ? 0 : static_cast<uint16_t>(i + 1), bits == 0);
            m.expect_mapped(0x1000, 0x5000 + (i << 12));
          }
        };
        round();
        m.mark();
        for (int i = 0; i < 3; ++i) round();
        const uint64_t loads = 3 * spaces;
        const bool fit = spaces <= roots + 1;
        EXPECT_EQ(m.since(Counter::kExitCr3), loads);
        EXPECT_EQ(m.since(Counter::kRootCacheHits), fit ? loads : 0u);
        EXPECT_EQ(m.since(Counter::kRootCacheMisses), fit ? 0u : loads);
        // Even a miss finds the pages: nothing is built again.
        EXPECT_EQ(m.since(Counter::kShadowPagesCreated), 0u);
        EXPECT_EQ(m.since(Counter::kHiddenFaults), 0u);
      }
    }
  }
}

TEST(CachedRoots, PcidIsPartOfTheSpaceButNotOfThePages) {
  Machine m("shadow:prefetch=0", {.cr4 = cr4::kPCIDE});
  m.map(0x1000, 0x5000, kUsed);
  m.switch_to(m.first_root(), 1);
  m.expect_mapped(0x1000, 0x5000);
  m.mark();
  m.switch_to(m.first_root(), 2);
  EXPECT_EQ(m.since(Counter::kRootCacheMisses), 1u);
  EXPECT_EQ(m.since(Counter::kShadowPagesCreated), 0u);
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 0u);
  m.switch_to(m.first_root(), 1, false);
  EXPECT_EQ(m.since(Counter::kRootCacheHits), 1u);
}

TEST(CachedRoots, GlobalPagesAreMarkedOnlyUnderPge) {
  Machine m("shadow:prefetch=0");
  m.map(0x1000, 0x5000, kUsed | kG);
  EXPECT_FALSE(m.touch(0x1000).global);
  m.set_cr4(cr4::kPGE, true);
  m.mmu->drop_caches();
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_TRUE(m.touch(0x1000).global);
  // INVLPG reaches cached roots, since a global translation belongs to all spaces.
  const Gpa other = m.new_table();
  m.map_in(other, 0x1000, 0x5000, kUsed | kG);
  m.switch_to(other);
  m.expect_mapped(0x1000, 0x5000);
  m.map(0x1000, 0x6000, kUsed | kG);
  m.invlpg(0x1000);
  m.switch_to(m.first_root());
  m.expect_mapped(0x1000, 0x6000);
}

TEST(Roots, RootThatIsNotInMemory) {
  Machine m("shadow");
  m.map(0x1000, 0x5000, kUsed);
  m.switch_to(Gpa(0x7000'0000));  // in no slot
  EXPECT_EQ(m.touch(0x1000).outcome, Outcome::kNotBacked);
  EXPECT_THAT(m.mappings(), IsEmpty());
  m.switch_to(Gpa(kDevice));
  EXPECT_EQ(m.touch(0x1000).cause, HostCause::kMmio);
  m.switch_to(m.first_root());
  m.expect_mapped(0x1000, 0x5000);
}

TEST(Roots, ThirtyTwoBitGuestInFourLevelForm) {
  Machine m("shadow:prefetch=0", {.mode = PagingMode::kLegacy32});
  for (const uint64_t va : {0x1000ull, 0x4000'1000ull, 0xffff'f000ull}) {
    m.map(va, 0x5000, kUsed);
    m.expect_mapped(va, 0x5000, kWrite);
    EXPECT_EQ(m.walk(va).size(), 4u);
  }
  EXPECT_THAT(m.mappings(),
              ElementsAre("1000>5000 4K wux", "40001000>5000 4K wux", "fffff000>5000 4K wux"));
  EXPECT_EQ(m.touch(0x1'0000'1000).outcome, Outcome::kGuestFault);
  // Its directory has no XD bit and no rights for the glue to take away.
  m.expect_mapped(0x1000, 0x5000, kFetch);
  // Another space, and back: the glue is made again, the pages below are not.
  const Gpa other = m.new_table();
  m.map_in(other, 0x1000, 0x6000, kUsed);
  m.switch_to(other);
  m.expect_mapped(0x1000, 0x6000);
  m.mark();
  m.switch_to(m.first_root());
  EXPECT_EQ(m.since(Counter::kRootCacheHits), 1u);
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 0u);
  EXPECT_EQ(m.mappings().size(), 3u);
}

TEST(Roots, PaePointersAreRegisters) {
  Machine m("shadow:prefetch=0", {.mode = PagingMode::kPae});
  for (uint64_t i = 0; i < 4; ++i) m.map((i << 30) + 0x1000, 0x5000 + (i << 12), kUsed);
  m.flush();
  for (uint64_t i = 0; i < 4; ++i) m.expect_mapped((i << 30) + 0x1000, 0x5000 + (i << 12));
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wux", "40001000>6000 4K wux",
                                        "80001000>7000 4K wux", "c0001000>8000 4K wux"));
  // A store to the pointer table changes nothing until CR3 is loaded.
  const Gpa second = m.slot_in(m.first_root(), 0x4000'0000, 3);
  const uint64_t first = m.peek(m.first_root());
  m.store_pte(second, first);
  m.expect_mapped(0x4000'1000, 0x6000);
  m.mark();
  m.flush();
  EXPECT_EQ(m.since(Counter::kRootCacheMisses), 1u);  // other PDPTEs: another space
  m.expect_mapped(0x4000'1000, 0x5000);
  EXPECT_EQ(m.since(Counter::kShadowPagesReused), 1u);  // the directory is shared
  EXPECT_EQ(m.pages_of(Gpa(first & pte::kFrameMask)), 1u);
  m.store_pte(second, 0);
  m.flush();
  m.expect_fault(0x4000'1000, pf::kUser);
  m.expect_mapped(0x1000, 0x5000);
}

TEST(Roots, FiveLevels) {
  Machine m("shadow:prefetch=0", {.mode = PagingMode::kLevel5});
  const uint64_t high = 0x00ab'cd12'3456'7000;
  m.map(high, 0x5000, kUsed);
  m.map(0x1000, 0x6000, kUsed);
  m.expect_mapped(high, 0x5000, kWrite);
  m.expect_mapped(0x1000, 0x6000);
  EXPECT_EQ(m.walk(high).size(), 5u);
  EXPECT_EQ(m.pages_of(m.first_root()), 1u);
  m.unmap(high);
  m.flush();
  m.expect_fault(high, pf::kUser);
  EXPECT_EQ(m.touch(0x0100'0000'0000'0000).error_code, pf::kNonCanonical);
}

TEST(Roots, PagingOffAndOn) {
  Machine m("shadow");
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  const Controls c = m.cpu().controls;
  m.set_controls(c.cr0 & ~cr0::kPG, c.cr4, 0);
  m.expect_mapped(0x1000, 0x1000, kKernelWrite);
  m.expect_mapped(0x1ff'f000, 0x1ff'f000, kFetch);
  EXPECT_EQ(m.touch(0x7000'0000).outcome, Outcome::kNotBacked);
  EXPECT_EQ(m.touch(kDevice + 0x18).cause, HostCause::kMmio);
  EXPECT_EQ(m.touch(0x1'0000'0000).outcome, Outcome::kGuestFault);
  // Tables of the other mode are still tracked: real mode code that edits them is seen.
  m.store_pte(m.entry_at(0x1000, 1), 0x6000 | kUsed);
  m.expect_mapped(0x1000, 0x1000);
  m.set_controls(c.cr0, c.cr4, c.efer);
  m.expect_mapped(0x1000, 0x6000);
}

TEST(Roots, DropCachesIsInvisible) {
  for (const PagingMode mode : {PagingMode::kLevel4, PagingMode::kLevel5, PagingMode::kLegacy32,
                                PagingMode::kPae, PagingMode::kOff}) {
    Machine m("shadow", {.mode = mode});
    if (mode != PagingMode::kOff) m.map(0x40'1000, 0x40'1000, kUser);
    m.flush();
    m.expect_mapped(0x40'1000, 0x40'1000, kWrite);
    m.mark();
    m.mmu->drop_caches();
    EXPECT_EQ(m.mmu->table_bytes(), 0u);
    EXPECT_EQ(m.since(Counter::kTlbFlushRequests), 1u);
    EXPECT_TRUE(m.cpu().gate.flush_request.load());
    EXPECT_THAT(m.mappings(), IsEmpty());
    m.expect_sound();
    m.expect_mapped(0x40'1000, 0x40'1000, kWrite);
    EXPECT_EQ(m.since(Counter::kHiddenFaults), 1u);
    m.mmu->drop_caches();
    m.mmu->drop_caches();
  }
}

}  // namespace
}  // namespace gnomon::shadow_test

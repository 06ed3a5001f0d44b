// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"

// Shadow pages are keyed by guest frame and role: shared exactly when both agree.

namespace gnomon::shadow_test {
namespace {

/// A second root whose first entry leads to the same level-3 table with other rights.
Gpa second_root(Machine& m, uint64_t flags) {
  const Gpa root = m.new_table();
  m.store_pte(root, m.table_at(0, 3).value() | flags);
  return root;
}

TEST(Pages, SharedByTwoRootsWhenTheRoleIsEqual) {
  Machine m("shadow:prefetch=0");
  m.map(0x1000, 0x5000, kUsed);
  const Gpa other = second_root(m, kUser);
  m.expect_mapped(0x1000, 0x5000);
  m.mark();
  m.switch_to(other);
  m.expect_mapped(0x1000, 0x5000, kWrite);
  EXPECT_EQ(m.since(Counter::kShadowPagesCreated), 1u);  // the root
  EXPECT_EQ(m.since(Counter::kShadowPagesReused), 1u);   // all below it
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 1u);
  for (unsigned level = 1; level <= 3; ++level)
    EXPECT_EQ(m.pages_of(m.table_at(0x1000, level)), 1u);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wux"));
  m.switch_to(m.first_root());
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wux"));
}

TEST(Pages, OtherRightsAboveMakeAnotherPage) {
  struct Upper {
    uint64_t flags;
    absl::string_view mapping;
    Access denied;
    uint32_t error;
  };
  const Upper uppers[] = {
      {kP | kU, "1000>5000 4K -ux", kWrite, pf::kPresent | pf::kWrite | pf::kUser},
      {kP | kW, "1000>5000 4K wsx", kRead, pf::kPresent | pf::kUser},
      {kUser | kXD, "1000>5000 4K wu-", kFetch, pf::kPresent | pf::kUser | pf::kFetch},
      {kP | kXD, "1000>5000 4K -s-", kKernelFetch, pf::kPresent | pf::kFetch},
  };
  for (const Upper& upper : uppers) {
    Machine m("shadow:prefetch=0");
    m.map(0x1000, 0x5000, kUsed);
    const Gpa other = second_root(m, upper.flags);
    m.expect_mapped(0x1000, 0x5000, kWrite);
    m.switch_to(other);
    m.expect_fault(0x1000, upper.error, upper.denied);
    m.expect_mapped(0x1000, 0x5000, kKernelRead);
    EXPECT_THAT(m.mappings(), ElementsAre(std::string(upper.mapping)));
    m.expect_fault(0x1000, upper.error, upper.denied);
    for (unsigned level = 1; level <= 3; ++level)
      EXPECT_EQ(m.pages_of(m.table_at(0x1000, level)), 2u);
    m.switch_to(m.first_root());
    EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wux"));
    m.expect_mapped(0x1000, 0x5000, kWrite);
  }
}

// One entry changes rights in place: the link must lead to the page of the new role.
TEST(Pages, UpperEntryWithNewRightsLinksAnotherPage) {
  Machine m("shadow:prefetch=0,flood=0");
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000, kWrite);
  const Gpa at = m.entry_at(0x1000, 3);
  m.store_pte(at, m.table_at(0x1000, 2).value() | kP | kU | kA);
  m.flush();
  m.expect_fault(0x1000, pf::kPresent | pf::kWrite | pf::kUser, kWrite);
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K -ux"));
  EXPECT_EQ(m.pages_of(m.table_at(0x1000, 1)), 2u);
  m.mark();
  m.store_pte(at, m.table_at(0x1000, 2).value() | kUsed);
  m.flush();
  m.expect_mapped(0x1000, 0x5000, kWrite);
  EXPECT_EQ(m.since(Counter::kShadowPagesCreated), 0u);  // the old ones are found again
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wux"));
}

TEST(Pages, ModeBitsThatChangeMeaningAreInTheRole) {
  struct Toggle {
    absl::string_view name;
    uint64_t cr4_before, cr0_clear, cr4_set, efer_clear;
    unsigned pages;  ///< of the leaf table, after the change
  };
  const Toggle toggles[] = {
      {"WP", 0, cr0::kWP, 0, 0, 2},
      {"NX", 0, 0, 0, efer::kNXE, 2},
      {"SMEP with WP", 0, 0, cr4::kSMEP, 0, 1},
      {"SMAP with WP", 0, 0, cr4::kSMAP, 0, 1},
      {"PKE with WP", 0, 0, cr4::kPKE, 0, 1},
      {"PGE", 0, 0, cr4::kPGE, 0, 1},
      {"WP under SMEP", cr4::kSMEP, cr0::kWP, 0, 0, 2},
  };
  for (const Toggle& t : toggles) {
    SCOPED_TRACE(std::string(t.name));
    Machine m("shadow:prefetch=0", {.cr4 = t.cr4_before});
    m.map(0x1000, 0x5000, kUsed);
    m.expect_mapped(0x1000, 0x5000);
    const Controls c = m.cpu().controls;
    m.mark();
    m.set_controls(c.cr0 & ~t.cr0_clear, c.cr4 | t.cr4_set, c.efer & ~t.efer_clear);
    m.expect_mapped(0x1000, 0x5000);
    EXPECT_EQ(m.pages_of(m.table_at(0x1000, 1)), t.pages);
    EXPECT_EQ(m.since(Counter::kHiddenFaults), t.pages - 1);
    EXPECT_EQ(m.since(Counter::kExitControl), 1u);
    m.expect_sound(t.name);
    m.set_controls(c.cr0, c.cr4, c.efer);
    m.expect_mapped(0x1000, 0x5000);
    EXPECT_EQ(m.pages_of(m.table_at(0x1000, 1)), t.pages);  // back to the first
    EXPECT_EQ(m.since(Counter::kHiddenFaults), t.pages - 1);
  }
}

TEST(Pages, SmepAndNoFlipBitsMatterOnlyWithoutWp) {
  Machine m("shadow:prefetch=0");
  m.map(0x1000, 0x5000, kUsed);
  m.set_wp(false);
  unsigned pages = 0;
  for (const uint64_t bits : {uint64_t{0}, cr4::kSMEP, cr4::kSMAP, cr4::kSMEP | cr4::kSMAP}) {
    m.set_cr4(cr4::kSMEP | cr4::kSMAP, false);
    m.set_cr4(bits, true);
    m.expect_mapped(0x1000, 0x5000);
    EXPECT_EQ(m.pages_of(m.table_at(0x1000, 1)), ++pages);
  }
  m.set_cr4(cr4::kSMEP, false);
  m.set_cr4(cr4::kPKE, true);  // the same restriction as SMAP
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_EQ(m.pages_of(m.table_at(0x1000, 1)), pages);
}

// The same directory entry is a table without PSE and a 4M page with it.
TEST(Pages, PseChangesWhatADirectoryEntryMeans) {
  Machine m("shadow:prefetch=0", {.mode = PagingMode::kLegacy32});
  m.store_pte(m.slot_in(m.first_root(), 0x40'0000, 2), 0x80'0000 | kUsed | kPS);
  m.store(Gpa(0x80'0004), 0x7000 | kUsed, 4);
  m.expect_mapped(0x40'1000, 0x80'1000, kWrite);
  EXPECT_THAT(m.mappings(), ElementsAre("401000>801000 4K wux"));
  m.set_cr4(cr4::kPSE, false);
  m.expect_mapped(0x40'1000, 0x7000, kWrite);
  EXPECT_THAT(m.mappings(), ElementsAre("401000>7000 4K wux"));
  EXPECT_EQ(m.pages_of(m.first_root()), 2u);
  m.set_cr4(cr4::kPSE, true);
  m.expect_mapped(0x40'1000, 0x80'1000);
}

// With EFER.NXE clear the bit is reserved, so an entry that has it is of no use at all.
TEST(Pages, XdBitIsReservedWithoutNxe) {
  Machine m("shadow");
  m.map(0x1000, 0x5000, kUsed | kXD);
  m.expect_fault(0x1000, pf::kPresent | pf::kUser | pf::kFetch, kFetch);
  m.expect_mapped(0x1000, 0x5000);
  const Controls c = m.cpu().controls;
  m.set_controls(c.cr0, c.cr4, c.efer & ~efer::kNXE);
  m.expect_fault(0x1000, pf::kPresent | pf::kUser | pf::kReserved);
  EXPECT_THAT(m.mappings(), IsEmpty());
  m.set_controls(c.cr0, c.cr4, c.efer);
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wu-"));
}

// A directory that is its own table: level 4, 3, 2 and 1 at once, each with a page of its own.
TEST(Pages, SelfReferenceGivesOnePageForEachLevel) {
  Machine m("shadow:prefetch=0");
  m.map(0x1000, 0x5000, kUsed);
  m.store_pte(Gpa(m.first_root().value() + 8), m.first_root().value() | kUser);
  const uint64_t self = uint64_t{1} << 39 | 1 << 30 | 1 << 21 | 1 << 12;
  m.expect_mapped(self, m.first_root().value());
  EXPECT_EQ(m.pages_of(m.first_root()), 4u);
  EXPECT_THAT(m.mappings(), ElementsAre("8040201000>80000000 4K -ux"));
  m.mark();
  const Translation t = m.touch(self, kWrite);
  EXPECT_TRUE(t.ok() && t.trapped) << to_string(t);
  m.store(t.gpa, 0, 8);                      // the entry of 0x1000's tables
  EXPECT_EQ(m.since(Counter::kUnsync), 0u);  // an upper level never goes out of sync
  m.flush();
  m.expect_fault(0x1000, pf::kUser);
  m.expect_mapped(self, m.first_root().value());
}

}  // namespace
}  // namespace gnomon::shadow_test

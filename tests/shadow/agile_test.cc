// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"

// Agile paging: shadow above, nested below, per table. With s shadow entries and n nested levels a
// walk makes s + 5n references.

namespace gnomon::shadow_test {
namespace {

using Dimension = WalkReference::Dimension;

/// Writes the table of `va` at `level` as often as it takes.
void make_nested(Machine& m, uint64_t va, unsigned level) {
  const Gpa unused(m.table_at(va, level).value() + 8 * 300);
  m.mark();
  for (int i = 0; i < 10 && m.since(Counter::kSwitchedToNested) == 0; ++i) {
    m.touch(va);
    m.store_pte(unused, 0);
  }
  EXPECT_EQ(m.since(Counter::kSwitchedToNested), 1u);
}

TEST(Agile, ReferencesByNestedLevels) {
  for (unsigned nested = 0; nested <= 4; ++nested) {
    SCOPED_TRACE(nested);
    Machine m(nested == 4 ? "agile:writes=0" : "agile:writes=2");
    m.map(0x1000, 0x5000, kUsed);
    m.expect_mapped(0x1000, 0x5000);
    if (nested != 0 && nested != 4) make_nested(m, 0x1000, nested);
    m.expect_mapped(0x1000, 0x5000, kWrite);
    EXPECT_EQ(m.walk(0x1000).size(), 4 + 4 * nested);
    m.expect_sound();
  }
}

TEST(Agile, TheRootItselfGoesNested) {
  Machine m("agile:writes=2");
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  make_nested(m, 0x1000, 4);
  m.expect_mapped(0x1000, 0x5000, kWrite);
  EXPECT_EQ(m.walk(0x1000).size(), 20u);
  EXPECT_EQ(m.shadow().hardware_root(m.cpu()).value() & 1, 1u);
  EXPECT_EQ(m.pages_of(m.first_root()), 0u);
}

TEST(Agile, GoldenOrderOfEight) {
  Machine m("agile:writes=2");
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  make_nested(m, 0x1000, 1);
  m.expect_mapped(0x1abc, 0x5abc, kWrite);
  const std::vector<WalkReference> log = m.walk(0x1abc);
  struct Step {
    Dimension dimension;
    unsigned guest_level, level;
  };
  constexpr Step kOrder[] = {{Dimension::kShadow, 4, 4}, {Dimension::kShadow, 3, 3},
                             {Dimension::kShadow, 2, 2}, {Dimension::kGuest, 1, 1},
                             {Dimension::kHost, 0, 4},   {Dimension::kHost, 0, 3},
                             {Dimension::kHost, 0, 2},   {Dimension::kHost, 0, 1}};
  ASSERT_EQ(log.size(), 8u);
  for (size_t i = 0; i < 8; ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(log[i].dimension, kOrder[i].dimension);
    EXPECT_EQ(log[i].guest_level, kOrder[i].guest_level);
    EXPECT_EQ(log[i].level, kOrder[i].level);
  }
  // The switch holds the host address of the guest's table, which is named by its guest address.
  const Gpa table = m.table_at(0x1000, 1);
  EXPECT_EQ(log[2].entry & pte::kFrameMask & ~shadow::kSwitchBit,
            m.p2m.lookup(table).frame().value());
  EXPECT_EQ(log[3].address, table.value() + 8);
  EXPECT_EQ(log[3].entry, 0x5000 | kUsed);
  EXPECT_EQ(log[7].entry & pte::kFrameMask, m.p2m.lookup(Gpa(0x5000)).frame().value());
  EXPECT_THAT(m.mappings(), ElementsAre(absl::StrCat("0>switch ", absl::Hex(table.value()))));
}

TEST(Agile, WritesToANestedTableAreFreeAndSeenAtOnce) {
  Machine m("agile:writes=2");
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  make_nested(m, 0x1000, 1);
  m.expect_mapped(0x1000, 0x5000);
  m.mark();
  for (uint64_t i = 0; i < 20; ++i) {
    m.map(0x1000, (6 + i) << 12, kUsed);
    m.expect_mapped(0x1000, (6 + i) << 12, kWrite);  // no flush: a nested walk caches nothing
  }
  EXPECT_EQ(m.since(Counter::kExitTableWrite), 0u);
  EXPECT_EQ(m.since(Counter::kExitPageFault), 0u);
}

TEST(Agile, RightsAboveASwitchStillCount) {
  for (unsigned level = 1; level <= 3; ++level) {
    Machine m("agile:writes=2");
    m.map(0x1000, 0x5000, kUsed);
    const Gpa above = m.entry_at(0x1000, level + 1);
    m.expect_mapped(0x1000, 0x5000);
    make_nested(m, 0x1000, level);
    m.expect_mapped(0x1000, 0x5000, kWrite);
    m.store_pte(above, m.table_at(0x1000, level).value() | kP | kU | kA);
    m.flush();
    m.expect_fault(0x1000, pf::kPresent | pf::kWrite | pf::kUser, kWrite);
    m.expect_mapped(0x1000, 0x5000);
    m.expect_sound();
  }
}

TEST(Agile, GoesBackToShadowAfterAQuietInterval) {
  Machine m("agile:writes=2,interval=16");
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  make_nested(m, 0x1000, 1);
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_EQ(m.walk(0x1000).size(), 8u);
  m.mark();
  for (unsigned i = 0; i < 40; ++i) m.expect_fault(0x7000'0000, pf::kUser);  // exits, no writes
  EXPECT_EQ(m.since(Counter::kSwitchedToShadow), 1u);
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_EQ(m.walk(0x1000).size(), 4u);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wux"));
}

// Through a mapping in the nested table itself, and through one that is shadowed.
TEST(Agile, StaysNestedWhileItIsWritten) {
  for (const uint64_t alias : {0x2000, 0x4000'0000}) {
    SCOPED_TRACE(alias);
    Machine m("agile:writes=2,interval=16");
    m.map(0x1000, 0x5000, kUsed);
    m.map(alias, m.table_at(0x1000, 1).value(), kUsed);
    m.expect_mapped(0x1000, 0x5000);
    make_nested(m, 0x1000, 1);
    m.mark();
    for (uint64_t i = 0; i < 200; ++i) {
      m.guest_store(alias + 8, (5 + i % 8) << 12 | kUsed);
      m.expect_fault(0x7000'0000, pf::kUser);
      m.expect_mapped(0x1000, (5 + i % 8) << 12);
    }
    EXPECT_EQ(m.since(Counter::kSwitchedToShadow), 0u);
  }
}

TEST(Agile, NestedTableOfEachLevelMovesOnTheHost) {
  for (unsigned level = 1; level <= 4; ++level) {
    SCOPED_TRACE(level);
    Machine m("agile:writes=2");
    m.map(0x1000, 0x5000, kUsed);
    m.expect_mapped(0x1000, 0x5000);
    make_nested(m, 0x1000, level);
    m.expect_mapped(0x1000, 0x5000);
    ASSERT_TRUE(m.p2m.remap(m.table_at(0x1000, level)).ok());
    EXPECT_THAT(m.mappings(), IsEmpty());
    m.expect_sound();
    m.expect_mapped(0x1000, 0x5000, kWrite);
    m.map(0x1000, 0x6000, kUsed);
    m.flush();
    m.expect_mapped(0x1000, 0x6000);
  }
}

// A frame that is a tracked table through another path stays protected in the nested tables too.
TEST(Agile, TrackedTableReachedThroughTheNestedPart) {
  for (const bool first_as_data : {false, true}) {
    Machine m("agile:writes=2,prefetch=0");
    m.map(0x4000'1000, 0x5000, kUsed);
    const Gpa table = m.table_at(0x4000'1000, 1);
    m.map(0x1000, table.value(), kUsed);
    m.map(0x2000, 0x6000, kUsed);
    m.expect_mapped(0x2000, 0x6000);
    make_nested(m, 0x2000, 1);
    m.expect_mapped(0x2000, 0x6000);
    if (first_as_data) m.expect_mapped(0x1000, table.value(), kWrite);
    m.expect_mapped(0x4000'1000, 0x5000);  // tracked from here on
    EXPECT_EQ(m.pages_of(table), 1u);
    m.expect_sound();
    m.expect_mapped(0x1000, table.value());
    const Translation t = m.touch(0x1000, kWrite);
    EXPECT_TRUE(t.ok() && t.trapped) << to_string(t);
    m.expect_sound();
    m.guest_store(0x1008, 0x7000 | kUsed);
    m.invlpg(0x4000'1000);
    m.expect_mapped(0x4000'1000, 0x7000);
  }
}

TEST(Agile, EveryGuestMode) {
  for (const PagingMode mode :
       {PagingMode::kLevel5, PagingMode::kPae, PagingMode::kLegacy32, PagingMode::kOff}) {
    for (const absl::string_view spec : {"agile", "agile:writes=1", "agile:writes=0"}) {
      SCOPED_TRACE(absl::StrCat(static_cast<int>(mode), " ", spec));
      Machine m(spec, {.mode = mode});
      if (mode == PagingMode::kOff) {
        m.expect_mapped(0x5000, 0x5000, kKernelWrite);
        continue;
      }
      for (uint64_t i = 0; i < 8; ++i) m.map(0x4000'0000 + (i << 12), 0x5000 + (i << 12));
      m.flush();
      Random random(3);
      for (unsigned step = 0; step < 300; ++step) {
        const uint64_t va = 0x4000'0000 + (random.below(8) << 12);
        if (random.below(3) == 0) {
          m.map(va, random.below(32) << 12);
          m.invlpg(va);
        }
        m.expect_agrees(va, random.below(2) != 0 ? kRead : kWrite);
      }
    }
  }
}

}  // namespace
}  // namespace gnomon::shadow_test

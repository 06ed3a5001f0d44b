// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"
#include "tests/support/scale.h"

// The host moves, takes, protects and gives frames while the guest has them mapped; and devices.

namespace gnomon::shadow_test {
namespace {

class HostChanges : public ::testing::TestWithParam<absl::string_view> {};

TEST_P(HostChanges, DirtyLogSeesEachFirstWrite) {
  Machine m(GetParam());
  for (uint64_t i = 0; i < 16; ++i) m.map(i << 12, 0x5000 + (i << 12), kUsed);
  for (uint64_t i = 0; i < 16; ++i) m.expect_mapped(i << 12, 0x5000 + (i << 12), kWrite);
  m.p2m.start_dirty_log(Gpa(0x5000), 16);
  EXPECT_TRUE(m.p2m.take_dirty(Gpa(0x5000), 16).empty());
  for (int round = 0; round < 3; ++round) {
    m.mark();
    for (uint64_t i = 0; i < 16; i += 5) {
      m.expect_mapped(i << 12, 0x5000 + (i << 12));
      m.expect_mapped(i << 12, 0x5000 + (i << 12), kWrite);
      m.expect_mapped(i << 12, 0x5000 + (i << 12), kWrite);
    }
    EXPECT_EQ(m.since(Counter::kDirtyMarked), 4u);
    m.expect_sound();
    EXPECT_THAT(m.p2m.take_dirty(Gpa(0), 64),
                ElementsAre(Gpa(0x5000), Gpa(0xa000), Gpa(0xf000), Gpa(0x1'4000)));
    m.expect_sound();
  }
  m.p2m.stop_dirty_log(Gpa(0), 64);
  m.expect_mapped(0, 0x5000, kWrite);
  EXPECT_TRUE(m.p2m.take_dirty(Gpa(0), 64).empty());
}

TEST_P(HostChanges, DirtyLogOfALargePageIsByFrame) {
  Machine m(GetParam(), {.ram = {.backing = PageSize::k2M}});
  m.map(0x40'0000, 0x80'0000, kUsed, PageSize::k2M);
  m.expect_mapped(0x40'3000, 0x80'3000, kWrite);
  m.p2m.start_dirty_log(Gpa(0x80'0000), 512);
  for (const uint64_t i : {3, 7, 500})
    m.expect_mapped(0x40'0000 + (i << 12), 0x80'0000 + (i << 12), kWrite);
  m.expect_mapped(0x40'9000, 0x80'9000);
  m.expect_sound();
  EXPECT_THAT(m.p2m.take_dirty(Gpa(0x80'0000), 512),
              ElementsAre(Gpa(0x80'3000), Gpa(0x80'7000), Gpa(0x80'0000 + (500 << 12))));
  m.expect_mapped(0x40'3000, 0x80'3000, kWrite);
  EXPECT_THAT(m.p2m.take_dirty(Gpa(0x80'0000), 512), ElementsAre(Gpa(0x80'3000)));
}

// The accessed and dirty flags that the walk sets are writes to the table's frame.
TEST_P(HostChanges, FlagUpdatesAreLogged) {
  Machine m(GetParam());
  m.map(0x1000, 0x5000, kUser);
  const Gpa table = m.table_at(0x1000, 1);
  m.p2m.start_dirty_log(table, 1);
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_THAT(m.p2m.take_dirty(table, 1), ElementsAre(table));
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_TRUE(m.p2m.take_dirty(table, 1).empty());
  m.store_pte(m.entry_at(0x1000, 1), 0x6000 | kUser);
  EXPECT_THAT(m.p2m.take_dirty(table, 1), ElementsAre(table));
}

TEST_P(HostChanges, BalloonAndDeflate) {
  Machine m(GetParam());
  m.map(0x1000, 0x5000, kUsed);
  m.map(0x2000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000, kWrite);
  m.expect_mapped(0x2000, 0x5000, kWrite);
  ASSERT_TRUE(m.p2m.balloon(Gpa(0x5000)).ok());
  EXPECT_EQ(m.touch(0x1000).cause, HostCause::kBallooned);
  EXPECT_EQ(m.touch(0x2000, kWrite).cause, HostCause::kBallooned);
  m.expect_sound();
  ASSERT_TRUE(m.p2m.deflate(Gpa(0x5000)).ok());
  m.expect_mapped(0x1000, 0x5000, kWrite);
  m.expect_mapped(0x2000, 0x5000);
}

TEST_P(HostChanges, TablesOfEachLevelMoveAndGo) {
  for (unsigned level = 1; level <= 4; ++level) {
    Machine m(GetParam());
    m.map(0x1000, 0x5000, kUsed);
    m.expect_mapped(0x1000, 0x5000);
    ASSERT_TRUE(m.p2m.remap(m.table_at(0x1000, level)).ok());
    m.expect_sound();
    m.expect_mapped(0x1000, 0x5000, kWrite);
    m.map(0x1000, 0x6000, kUsed);
    m.flush();
    m.expect_mapped(0x1000, 0x6000);
    const Gpa table = m.table_at(0x1000, level);
    ASSERT_TRUE(m.p2m.balloon(table).ok());
    m.expect_sound();
    const Translation t = m.touch(0x1000);
    EXPECT_EQ(t.outcome, Outcome::kHostViolation) << to_string(t);
    EXPECT_EQ(t.gpa.page_base(), table);
    EXPECT_EQ(t.level, level);
    ASSERT_TRUE(m.p2m.deflate(table).ok());
    m.expect_fault(0x1000, pf::kUser);  // it came back empty
  }
}

TEST_P(HostChanges, SlotGoesAndComesBack) {
  constexpr uint64_t kSlot = 0x6000'0000;
  Machine m(GetParam());
  ASSERT_TRUE(m.p2m.add_slot(Gpa(kSlot), 16 << 12).ok());
  m.map(0x1000, kSlot, kUsed);
  m.store_pte(m.entry_at(0x4000'0000, 2), (kSlot + 0x1000) | kUser);  // a table in it
  m.store_pte(Gpa(kSlot + 0x1000), 0x6000 | kUsed);
  m.expect_mapped(0x1000, kSlot, kWrite);
  m.expect_mapped(0x4000'0000, 0x6000);
  ASSERT_TRUE(m.p2m.remove_slot(Gpa(kSlot)).ok());
  m.expect_sound();
  EXPECT_EQ(m.touch(0x1000).outcome, Outcome::kNotBacked);
  EXPECT_EQ(m.touch(0x4000'0000).outcome, Outcome::kNotBacked);
  ASSERT_TRUE(m.p2m.add_mmio(Gpa(kSlot + 0x8000), 0x1000).ok());
  ASSERT_TRUE(m.p2m.add_slot(Gpa(kSlot), 4 << 12).ok());
  m.expect_mapped(0x1000, kSlot);
  m.expect_fault(0x4000'0000, pf::kUser);
}

TEST_P(HostChanges, RandomChangesNeverShow) {
  for (uint64_t seed = 1; seed <= by_scale(1u, 6u, 48u); ++seed) {
    Machine m(GetParam(),
              {.ram = {.backing = PageSize::k2M}, .ram_bytes = 8_MiB, .host_bytes = 64_MiB});
    for (uint64_t i = 0; i < 24; ++i) m.map(i << 12, 0x20'0000 + (i << 14), kUser);
    for (uint64_t i = 0; i < 4; ++i)
      m.map(0x4000'0000 + i * 2_MiB, i * 2_MiB, kUser, PageSize::k2M);
    Random random(seed);
    const auto va = [&] {
      return random.below(2) != 0 ? random.below(24) << 12
                                  : 0x4000'0000 + (random.below(2048) << 12);
    };
    for (unsigned step = 0; step < 800 && !::testing::Test::HasFailure(); ++step) {
      const Gpa gpa(random.below(4) != 0 ? random.below(2048) << 12
                                         : kTables + (random.below(8) << 12));
      switch (random.below(12)) {
        case 0: m.p2m.remap(gpa).IgnoreError(); break;
        case 1:
          if (gpa.value() < kTables) m.p2m.balloon(gpa).IgnoreError();
          break;
        case 2: m.p2m.deflate(gpa).IgnoreError(); break;
        case 3: m.p2m.split(gpa).IgnoreError(); break;
        case 4: m.p2m.promote(gpa).IgnoreError(); break;
        case 5: m.p2m.start_dirty_log(gpa, 64); break;
        case 6: m.p2m.take_dirty(Gpa(0), 2048); break;
        case 7: m.p2m.stop_dirty_log(gpa, 256); break;
        default: break;
      }
      for (int i = 0; i < 4; ++i) m.touch(va(), random.below(2) != 0 ? kRead : kWrite);
      const uint64_t at = va();
      const Access access = random.below(2) != 0 ? kRead : kWrite;
      if (m.touch(at, access).outcome != Outcome::kNotBacked) m.expect_agrees(at, access);
      if (step % 20 == 0) m.expect_sound(absl::StrCat("seed ", seed, " step ", step));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, HostChanges,
                         ::testing::Values("shadow", "shadow:unsync=off,prefetch=64", "vtlb",
                                           "agile", "agile:writes=0",
                                           "shadow:directory=full-trap,flags=lazy"),
                         [](const auto& i) {
                           std::string name(i.param);
                           std::replace_if(
                               name.begin(), name.end(),
                               [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); },
                               '_');
                           return name;
                         });

TEST(HostChangesOfShadow, ProtectionKeepsTheReadableEntry) {
  Machine m("shadow:prefetch=0");
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000, kWrite);
  m.mark();
  m.p2m.start_dirty_log(Gpa(0x5000), 1);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K -ux"));
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 0u);
  m.expect_mapped(0x1000, 0x5000, kWrite);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wux"));
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 1u);
}

TEST(HostChangesOfShadow, FullHostOnlySlowsTheGuest) {
  Machine m("shadow:prefetch=0", {.ram_bytes = 2_MiB, .host_bytes = 4_MiB});
  for (uint64_t i = 0; i < 64; ++i) m.map(i << 30, 0x5000, kUsed);  // three tables each
  m.p2m.back(Gpa(0x5000));
  std::vector<Hpa> taken;
  while (const auto f = m.host->allocate(FrameOwner::kVmm)) taken.push_back(*f);
  for (int i = 0; i < 3; ++i) m.host->free(taken.back()), taken.pop_back();
  m.mark();
  for (int round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < 64; ++i) m.expect_mapped(i << 30, 0x5000, kWrite);
  }
  m.expect_sound();
  for (const Hpa f : taken) m.host->free(f);
  m.expect_mapped(0, 0x5000);
}

}  // namespace
}  // namespace gnomon::shadow_test

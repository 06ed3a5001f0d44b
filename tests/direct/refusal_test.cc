// SPDX-License-Identifier: Apache-2.0
#include "tests/direct/fixture.h"

// Each thing a guest may not do, and that nothing has changed after it tried.

namespace gnomon::direct_test {
namespace {

using direct::FrameType;

struct Illegal {
  const char* name;
  uint64_t frame;
  unsigned slot;
  uint64_t value;
};

constexpr uint64_t at(uint64_t frame, uint64_t flags) { return frame << 12 | flags; }

// In the tree of DirectTest::build_tree, with 4M of 2M host pages at kLargeBase and a table at frame 4.
const Illegal kIllegal[] = {
    {"writable mapping of an L1 table", 4, 8, at(4, kP | kW | kU)},
    {"writable mapping of the root", 4, 8, at(1, kP | kW)},
    {"writable mapping of an L3 table", 4, 8, at(2, kP | kW)},
    {"a hole", 4, 8, at(kHoleFrame, kP)},
    {"a device", 4, 8, at(kMmioFrame, kP | kW)},
    {"beyond all slots", 4, 8, at(uint64_t{1} << 30, kP)},
    {"a ballooned frame", 4, 8, at(40, kP)},
    {"read-only memory, writable", 4, 8, at(kRomFrame, kP | kW)},
    {"reserved address bit", 4, 8, at(16, kP) | uint64_t{1} << 50},
    {"reserved bit of a large page", 3, 8, kLargeBase | kP | kPS | 1 << 14},
    {"PS in a root entry", 1, 8, at(2, kP | kPS)},
    {"a large page over 4K host pages", 3, 8, at(0, kP | kPS)},
    {"a 1G page over smaller host pages", 2, 8, at(0, kP | kPS)},
    {"an L2 table in an L2 entry", 3, 8, at(3, kP)},
    {"an L3 table in an L2 entry", 3, 8, at(2, kP)},
    {"an L1 table in an L3 entry", 2, 8, at(4, kP)},
    {"a page mapped writable as an L1 table", 3, 8, at(16, kP)},
    {"read-only memory as a table", 3, 8, at(kRomFrame, kP)},
    {"a device as a table", 3, 8, at(kMmioFrame, kP)},
    {"an L4 table, writable, in itself", 1, 8, at(1, kP | kW)},
    {"a table whose own entries are illegal", 3, 8, at(41, kP)},
    {"a tree that is illegal at the bottom", 1, 8, at(42, kP)},
    {"a page that is mapped writable by a tree not in use", 3, 8, at(47, kP)},
};

TEST_F(DirectTest, RefusesEachIllegalEntryAndChangesNothing) {
  boot_tree();
  ASSERT_EQ(write(16, 0, 0), StoreResult::kDone);
  ASSERT_EQ(write(4, 20, entry(47, kP | kW)), StoreResult::kDone);
  ASSERT_TRUE(p2m_->balloon(Gpa::from_frame(40)).ok());
  for (unsigned slot = 0; slot < 100; ++slot) {  // frame 41 is fine up to entry 100
    write(41, slot, entry(17 + slot % 4, kP | kW | kA));
  }
  write(41, 100, entry(kHoleFrame, kP));
  write(42, 0, entry(43, kP));
  write(43, 0, entry(44, kP));
  write(43, 1, entry(46, kP));
  write(44, 5, entry(20, kP | kW));
  write(46, 511, entry(44, kP | kW));  // maps a table of the same tree
  for (const Illegal& i : kIllegal) {
    SCOPED_TRACE(i.name);
    const std::string before = state();
    const uint64_t refused = count(Counter::kPvUpdatesRefused);
    EXPECT_EQ(write(i.frame, i.slot, i.value), StoreResult::kRefused);
    EXPECT_EQ(count(Counter::kPvUpdatesRefused), refused + 1);
    EXPECT_TRUE(state() == before);
    expect_sound();
    // Not present, the same bits are just bits.
    EXPECT_EQ(write(i.frame, i.slot, i.value & ~kP), StoreResult::kDone);
    EXPECT_EQ(read(i.frame, i.slot), i.value & ~kP);
    EXPECT_EQ(in_place(i.frame, i.slot), i.value & ~kP);
    EXPECT_EQ(write(i.frame, i.slot, 0), StoreResult::kDone);
  }
}

TEST_F(DirectTest, ALargeWritablePageKeepsTablesOutOfItsRegion) {
  boot_tree();
  const uint64_t inside = (kLargeBase >> 12) + 3;
  ASSERT_EQ(write(3, 8, kLargeBase | kP | kW | kPS), StoreResult::kDone);
  EXPECT_EQ(write(3, 9, entry(inside, kP)), StoreResult::kRefused);
  ASSERT_EQ(write(3, 8, kLargeBase | kP | kPS), StoreResult::kDone);
  EXPECT_EQ(write(3, 9, entry(inside, kP)), StoreResult::kDone);
  EXPECT_EQ(type(inside), FrameType::kL1);
  EXPECT_EQ(write(3, 8, kLargeBase | kP | kW | kPS), StoreResult::kRefused);
  EXPECT_TRUE(touch(8 * 2_MiB + 3 * 4096, kKernelRead).trapped);
  EXPECT_FALSE(touch(8 * 2_MiB + 4 * 4096, kKernelRead).trapped);
  ASSERT_EQ(write(3, 9, 0), StoreResult::kDone);
  EXPECT_EQ(write(3, 8, kLargeBase | kP | kW | kPS), StoreResult::kDone);
}

TEST_F(DirectTest, AStoreAcrossTwoEntriesIsAllOrNothing) {
  boot_tree();
  const uint64_t low = entry(17, kP | kW), high = entry(4, kP | kW);
  // Bytes 4..7 of entry 8 and 0..3 of entry 9: the second would map the L1 table writable.
  ASSERT_EQ(write(4, 8, low), StoreResult::kDone);
  ASSERT_EQ(write(4, 9, entry(18, kP)), StoreResult::kDone);
  const std::string before = state();
  EXPECT_EQ(mmu_->write_physical(cpu_, Gpa(4 << 12 | 8 * 8 | 4), high << 32 | 0x8000'0000, 8),
            StoreResult::kRefused);
  EXPECT_TRUE(state() == before);
  EXPECT_EQ(read(4, 8), low);
  EXPECT_EQ(mmu_->write_physical(cpu_, Gpa(4 << 12 | 8 * 8 | 4), (entry(19, kP) << 32) | 0x8000'0000, 8),
            StoreResult::kDone);
  EXPECT_EQ(read(4, 8), low | pte::kNoExecute);
  EXPECT_EQ(read(4, 9), entry(19, kP));
}

TEST_F(DirectTest, ARefusedRootEndsEachAccessUntilAnotherIsLoaded) {
  boot_tree();
  write(50, 0, entry(kHoleFrame, kP));
  load_cr3(50);
  EXPECT_EQ(type(50), FrameType::kNone);
  // Nothing but the backend held the root before: it could have stood in the way, and was given up.
  EXPECT_EQ(type(1), FrameType::kNone);
  const std::string before = state();
  for (const uint64_t va : {uint64_t{0}, uint64_t{0x1000}, ~uint64_t{0}}) {
    const Translation t = touch(va);
    EXPECT_EQ(t.outcome, Outcome::kHostViolation);
    EXPECT_EQ(t.cause, HostCause::kNone);
    EXPECT_EQ(t.level, 4);
    EXPECT_EQ(t.gpa, Gpa::from_frame(50));
    Access probe = kUserRead;
    probe = probe.with_probe(true);
    EXPECT_EQ(touch(va, probe), t);
  }
  EXPECT_TRUE(state() == before);
  write(50, 0, 0);
  EXPECT_EQ(touch(0).outcome, Outcome::kHostViolation);  // as Xen: the load is what is refused
  load_cr3(1);
  EXPECT_TRUE(touch(0).ok());
  load_cr3(50);
  EXPECT_EQ(touch(0).outcome, Outcome::kGuestFault);
  load_cr3(kHoleFrame);
  EXPECT_EQ(touch(0).outcome, Outcome::kNotBacked);
}

TEST_F(DirectTest, OnlyFourLevelsAndNoPagingAtAllAreSupported) {
  for (const PagingMode mode : {PagingMode::kOff, PagingMode::kLegacy32, PagingMode::kPae,
                                PagingMode::kLevel4, PagingMode::kLevel5}) {
    EXPECT_EQ(DirectMmu::check_mode(mode).ok(), DirectMmu::supports(mode)) << name_of(mode);
  }
  build_tree();
  Controls c = level4_controls();
  c.cr3 = 1 << 12;
  c.cr4 |= cr4::kLA57;
  set_controls(c);
  const Translation t = touch(0);
  EXPECT_EQ(t.outcome, Outcome::kHostViolation);
  EXPECT_EQ(t.cause, HostCause::kNone);
  EXPECT_EQ(t.level, 0);
  c.cr4 &= ~cr4::kLA57;
  set_controls(c);
  EXPECT_TRUE(touch(0).ok());
}

TEST(DirectOptions, AreParsedAndChecked) {
  EXPECT_EQ(*parse_direct_options(""), DirectOptions{});
  EXPECT_EQ(*parse_direct_options("batch=1,pins=3,trap=on"), (DirectOptions{1, 3, true}));
  for (const char* bad : {"batch=0", "batch=70000", "pins=0", "trap=2", "sync=on", "batch"}) {
    EXPECT_EQ(parse_direct_options(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace gnomon::direct_test

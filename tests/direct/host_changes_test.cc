// SPDX-License-Identifier: Apache-2.0
#include "tests/direct/fixture.h"

// The host moves, takes and watches frames that the guest's tables name.

namespace gnomon::direct_test {
namespace {

using direct::FrameType;

TEST_F(DirectTest, AMovedPageIsMappedAgainOnTheNextAccess) {
  boot_tree();
  const Translation before = touch(0, kUserWrite);
  cpu_.counters.reset();
  cpu_.gate.flush_request = false;
  ASSERT_TRUE(p2m_->remap(Gpa::from_frame(16)).ok());
  EXPECT_TRUE(cpu_.gate.flush_request);
  EXPECT_EQ(in_place(4, 0), 0u);
  EXPECT_EQ(read(4, 0), entry(16, kP | kW | kU | kA | kD));
  expect_sound();
  cpu_.gate.flush_request = false;
  const Translation after = touch(0, kUserWrite);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after.gpa, before.gpa);
  EXPECT_NE(after.hpa, before.hpa);
  EXPECT_TRUE(after.cacheable);
  EXPECT_EQ(count(Counter::kHiddenFaults), 1u);
  EXPECT_EQ(count(Counter::kExitPageFault), 1u);
  EXPECT_NE(in_place(4, 0), 0u);
}

TEST_F(DirectTest, ABalloonedPageIsAViolationUntilItComesBack) {
  boot_tree();
  ASSERT_TRUE(p2m_->balloon(Gpa::from_frame(16)).ok());
  expect_sound();
  const Translation t = touch(0, kUserWrite);
  EXPECT_EQ(t.outcome, Outcome::kHostViolation);
  EXPECT_EQ(t.cause, HostCause::kBallooned);
  EXPECT_EQ(t.level, 0);
  EXPECT_EQ(t.gpa, Gpa::from_frame(16));
  // The processor set its flags before the page turned out to be gone.
  EXPECT_EQ(read(4, 0), entry(16, kP | kW | kU | kA | kD));
  ASSERT_TRUE(p2m_->deflate(Gpa::from_frame(16)).ok());
  EXPECT_TRUE(touch(0, kUserWrite).ok());
  // The guest may forget the mapping instead.
  ASSERT_TRUE(p2m_->balloon(Gpa::from_frame(16)).ok());
  EXPECT_EQ(write(4, 0, entry(17, kP | kU)), StoreResult::kDone);
  EXPECT_EQ(touch(0).gpa, Gpa::from_frame(17));
}

TEST_F(DirectTest, TablesAndRootsMayMove) {
  boot_tree();
  for (const uint64_t f : {4, 3, 2, 1}) {
    ASSERT_TRUE(p2m_->remap(Gpa::from_frame(f)).ok());
    EXPECT_EQ(type(f), FrameType::kNone);
    expect_sound();
    const Translation t = touch(0);
    ASSERT_TRUE(t.ok()) << f << " " << to_string(t);
    EXPECT_TRUE(t.cacheable);
    EXPECT_EQ(type(f), direct::table_type(5 - static_cast<unsigned>(f)));
  }
  ASSERT_TRUE(p2m_->balloon(Gpa::from_frame(3)).ok());
  const Translation t = touch(0);
  EXPECT_EQ(t.cause, HostCause::kBallooned);
  EXPECT_EQ(t.level, 2);
  EXPECT_EQ(t.gpa, Gpa::from_frame(3));
  ASSERT_TRUE(p2m_->deflate(Gpa::from_frame(3)).ok());
  EXPECT_EQ(touch(0).outcome, Outcome::kGuestFault);  // its contents were lost
}

TEST_F(DirectTest, DirtyLoggingSeesEachFirstWriteAndNoOther) {
  boot_tree();
  write(4, 2, entry(17, kP | kW | kU));
  touch(0, kUserWrite);
  p2m_->start_dirty_log(Gpa(0), kSmallFrames);
  expect_sound();
  EXPECT_EQ(in_place(4, 0) & kW, 0u);
  EXPECT_EQ(read(4, 0), entry(16, kP | kW | kU | kA | kD));
  const Translation r = touch(0);
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r.rights & kRightWrite, 0);
  EXPECT_TRUE(p2m_->take_dirty(Gpa(0), kSmallFrames).empty());
  const uint64_t hidden = count(Counter::kHiddenFaults);
  EXPECT_NE(touch(0, kUserWrite).rights & kRightWrite, 0);
  EXPECT_EQ(count(Counter::kHiddenFaults), hidden + 1);
  EXPECT_EQ(p2m_->take_dirty(Gpa(0), kSmallFrames), std::vector<Gpa>{Gpa::from_frame(16)});
  // The dirty flag of page 2 is a write to the L1 table too.
  EXPECT_TRUE(touch(0x2000, kUserWrite).ok());
  EXPECT_EQ(p2m_->take_dirty(Gpa(0), kSmallFrames),
            (std::vector<Gpa>{Gpa::from_frame(4), Gpa::from_frame(17)}));
  // A mapping that the guest makes now is read-only for the hardware from the start.
  ASSERT_EQ(write(4, 3, entry(18, kP | kW | kU)), StoreResult::kDone);
  EXPECT_EQ(in_place(4, 3) & kW, 0u);
  EXPECT_EQ(read(4, 3), entry(18, kP | kW | kU));
  // A right the guest did not give is still the guest's fault.
  write(4, 5, entry(19, kP | kU));
  EXPECT_EQ(touch(0x5000, kUserWrite).outcome, Outcome::kGuestFault);
}

TEST_F(DirectTest, ALargePageOutlivesItsHostPage) {
  boot_tree();
  ASSERT_EQ(write(3, 8, kLargeBase | kP | kW | kU | kPS), StoreResult::kDone);
  EXPECT_EQ(touch(8 * 2_MiB + 0x5678).size, PageSize::k2M);
  ASSERT_TRUE(p2m_->split(Gpa(kLargeBase)).ok());
  expect_sound();
  const Translation t = touch(8 * 2_MiB + 0x5678, kUserWrite);
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t.gpa, Gpa(kLargeBase + 0x5678));
  EXPECT_FALSE(t.cacheable);
  EXPECT_EQ(count(Counter::kEmulatedAccesses), 1u);
  EXPECT_EQ(read(3, 8), kLargeBase | kP | kW | kU | kPS | kA | kD);
  ASSERT_TRUE(p2m_->promote(Gpa(kLargeBase)).ok());
  EXPECT_TRUE(touch(8 * 2_MiB + 0x5678, kUserWrite).cacheable);
}

TEST_F(DirectTest, ALoggedLargePageIsWrittenFrameByFrame) {
  boot_tree();
  ASSERT_EQ(write(3, 8, kLargeBase | kP | kW | kU | kPS), StoreResult::kDone);
  p2m_->start_dirty_log(Gpa(kLargeBase), 512);
  const uint64_t first = kLargeBase >> 12;
  for (const uint64_t i : {0, 7, 511}) {
    EXPECT_TRUE(touch(8 * 2_MiB + i * 4096, kUserWrite).ok());
    EXPECT_EQ(p2m_->take_dirty(Gpa(0), first + 512), std::vector<Gpa>{Gpa::from_frame(first + i)});
  }
  p2m_->stop_dirty_log(Gpa(kLargeBase), 512);
  EXPECT_TRUE(touch(8 * 2_MiB, kUserWrite).cacheable);
}

TEST_F(DirectTest, ARemovedSlotTakesItsTablesAlong) {
  boot_tree();
  const uint64_t table = (kLargeBase >> 12) + 1;
  ASSERT_EQ(write(table, 0, entry(17, kP | kU)), StoreResult::kDone);
  ASSERT_EQ(write(3, 8, entry(table, kP | kU)), StoreResult::kDone);
  EXPECT_TRUE(touch(8 * 2_MiB).ok());
  ASSERT_TRUE(p2m_->remove_slot(Gpa(kLargeBase)).ok());
  expect_sound();
  EXPECT_EQ(touch(8 * 2_MiB).outcome, Outcome::kNotBacked);
  ASSERT_TRUE(p2m_->add_mmio(Gpa(kLargeBase), kLargeBytes).ok());
  EXPECT_EQ(touch(8 * 2_MiB).cause, HostCause::kMmio);
  EXPECT_EQ(read(3, 8), entry(table, kP | kU | kA));
}

TEST_F(DirectTest, AProbeChangesNothing) {
  boot_tree();
  ASSERT_TRUE(p2m_->remap(Gpa::from_frame(4)).ok());
  const std::string before = state();
  const Counters counters = cpu_.counters;
  Access probe = kUserWrite;
  probe = probe.with_probe(true);
  const Translation t = touch(0x123, probe);
  EXPECT_TRUE(t.ok());
  EXPECT_EQ(t.gpa, Gpa(16 << 12 | 0x123));
  EXPECT_TRUE(touch(0x1000, {AccessOp::kRead, Privilege::kUser, true}).ok());
  EXPECT_TRUE(state() == before);
  for (size_t c = 0; c < kCounterCount; ++c) {
    EXPECT_EQ(count(static_cast<Counter>(c)), counters[static_cast<Counter>(c)]);
  }
}

}  // namespace
}  // namespace gnomon::direct_test

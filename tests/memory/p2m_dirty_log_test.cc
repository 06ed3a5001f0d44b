// SPDX-License-Identifier: Apache-2.0
#include "tests/memory/p2m_fixture.h"

namespace gnomon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class P2mDirtyLogTest : public P2mTest {
 protected:
  static constexpr uint64_t kAll = ~uint64_t{0};

  void start_log(uint64_t first = 0, uint64_t frames = kAll) {
    p2m->start_dirty_log(Gpa(first), frames);
  }
  std::vector<uint64_t> take(uint64_t first = 0, uint64_t frames = kAll) {
    std::vector<uint64_t> addresses;
    for (const Gpa gpa : p2m->take_dirty(Gpa(first), frames)) addresses.push_back(gpa.value());
    return addresses;
  }
  /// What a guest's store does.
  void write(uint64_t gpa) {
    if (back(gpa).write_logged()) p2m->mark_dirty(Gpa(gpa));
    EXPECT_TRUE(look(gpa).writable());
  }
};

TEST_F(P2mDirtyLogTest, NothingIsLoggedUnlessArmed) {
  add_slot(0, 64_KiB);
  write(0x1000);
  p2m->mark_dirty(Gpa(0x1000));
  p2m->mark_dirty(Gpa(4_GiB));
  EXPECT_THAT(take(), IsEmpty());
  EXPECT_THAT(told, IsEmpty());
}

TEST_F(P2mDirtyLogTest, WrittenFramesAreTakenInOrderAndProtectedAgain) {
  add_slot(0, 64_KiB);
  for (uint64_t gpa = 0; gpa < 64_KiB; gpa += 4_KiB) back(gpa);
  start_log();
  EXPECT_TRUE(seen.at(0).writable()) << "told before it was protected";
  EXPECT_THAT(what_was_told(), ElementsAre("write-protected 0x0+16"));
  EXPECT_TRUE(look(0x5000).write_logged());
  EXPECT_FALSE(look(0x5000).writable());
  EXPECT_THAT(take(), IsEmpty());

  for (const uint64_t gpa : {0x9000, 0x5010, 0x6020, 0x5ff8, 0x7000}) write(gpa);
  EXPECT_TRUE(look(0x5000).dirty());
  EXPECT_THAT(told, IsEmpty());
  EXPECT_THAT(take(), ElementsAre(0x5000, 0x6000, 0x7000, 0x9000));
  EXPECT_TRUE(seen.at(0).writable()) << "told before it was protected again";
  EXPECT_THAT(what_was_told(), ElementsAre("write-protected 0x5+3", "write-protected 0x9+1"));
  EXPECT_TRUE(look(0x5000).write_logged());
  EXPECT_THAT(take(), IsEmpty());
  write(0x6000);
  EXPECT_THAT(take(), ElementsAre(0x6000));
}

TEST_F(P2mDirtyLogTest, RangesAreKeptApart) {
  add_slot(0, 64_KiB);
  add_slot(64_KiB, 64_KiB);
  start_log(0x4000, 0x18);  // to 0x1bfff, in both slots
  EXPECT_THAT(what_was_told(), ElementsAre("write-protected 0x4+12", "write-protected 0x10+12"));
  for (const uint64_t gpa : {0x3000, 0x4000, 0xf000, 0x10000, 0x1b000, 0x1c000}) write(gpa);
  EXPECT_THAT(take(0, 5), ElementsAre(0x4000));
  EXPECT_THAT(take(0xf000, 2), ElementsAre(0xf000, 0x10000));
  EXPECT_THAT(take(0x1b000, 0), IsEmpty());
  EXPECT_THAT(take(), ElementsAre(0x1b000));
}

TEST_F(P2mDirtyLogTest, RangesMayLeaveTheSlotsAnywhere) {
  add_slot(0x10000, 0x2000);
  add_slot(0x20000, 0x2000);
  start_log(0x11000, kAll);
  EXPECT_THAT(what_was_told(), ElementsAre("write-protected 0x11+1", "write-protected 0x20+2"));
  start_log(0x30000, 100);
  start_log(~uint64_t{0}, kAll);
  EXPECT_THAT(told, IsEmpty());
  for (const uint64_t gpa : {0x10000, 0x11000, 0x21000}) write(gpa);
  EXPECT_THAT(take(0x11fff), ElementsAre(0x11000, 0x21000)) << "cut to whole frames";
}

TEST_F(P2mDirtyLogTest, FramesBackedLaterAreLogged) {
  add_slot(0, 4_MiB, options(PageSize::k2M));
  start_log(0x1000, 2);
  back(0);
  EXPECT_EQ(look(0).size(), PageSize::k2M);
  EXPECT_TRUE(look(0).writable());
  EXPECT_TRUE(look(0x1000).write_logged());
  EXPECT_TRUE(look(0x2000).write_logged());
  EXPECT_TRUE(look(0x3000).writable());
  write(0x2000);
  EXPECT_THAT(take(), ElementsAre(0x2000));
}

TEST_F(P2mDirtyLogTest, StoppingForgets) {
  add_slot(0, 64_KiB);
  start_log();
  write(0x1000);
  write(0x2000);
  what_was_told();
  p2m->stop_dirty_log(Gpa(0x2000), 2);
  EXPECT_THAT(told, IsEmpty());
  EXPECT_TRUE(look(0x2000).writable());
  EXPECT_TRUE(back(0x3000).writable());
  EXPECT_FALSE(back(0x4000).writable());
  EXPECT_THAT(take(), ElementsAre(0x1000));
}

TEST_F(P2mDirtyLogTest, StartingAgainForgets) {
  add_slot(0, 64_KiB);
  start_log();
  write(0x1000);
  start_log();
  EXPECT_TRUE(look(0x1000).write_logged());
  EXPECT_THAT(take(), IsEmpty());
  write(0x1000);
  EXPECT_THAT(take(), ElementsAre(0x1000)) << "once";
}

TEST_F(P2mDirtyLogTest, TheLogStaysWithTheGuestFrame) {
  add_slot(0, 4_MiB, options(PageSize::k2M));
  back(0);
  start_log(0, 512);
  write(0x1000);
  ASSERT_TRUE(p2m->remap(Gpa(0)).ok());
  EXPECT_TRUE(look(0x1000).dirty());
  EXPECT_TRUE(look(0x2000).write_logged());
  ASSERT_TRUE(p2m->split(Gpa(0)).ok());
  EXPECT_TRUE(look(0x1000).dirty());
  EXPECT_TRUE(look(0x2000).write_logged());
  ASSERT_TRUE(p2m->balloon(Gpa(0x2000)).ok());
  ASSERT_TRUE(p2m->deflate(Gpa(0x2000)).ok());
  ASSERT_TRUE(p2m->promote(Gpa(0)).ok());
  EXPECT_TRUE(look(0x1000).dirty());
  EXPECT_TRUE(look(0x2000).write_logged());
  EXPECT_TRUE(look(2_MiB).raw() ==
              P2mEntry::make(FrameState::kLazy, Hpa(), PageSize::k4K, false).raw());
  EXPECT_THAT(take(), ElementsAre(0x1000));
}

TEST_F(P2mDirtyLogTest, ARemovedSlotTakesItsLogAlong) {
  add_slot(0, 64_KiB);
  add_slot(64_KiB, 64_KiB);
  start_log();
  write(0x1000);
  write(0x12000);
  ASSERT_TRUE(p2m->remove_slot(Gpa(0)).ok());
  add_slot(1_MiB, 64_KiB);  // has the numbers of the removed slot
  EXPECT_TRUE(back(1_MiB + 0x1000).writable());
  EXPECT_THAT(take(), ElementsAre(0x12000));
}

TEST_F(P2mDirtyLogTest, RomIsNotWritableWithTheLogStopped) {
  SlotOptions o;
  o.rom = true;
  add_slot(0, 64_KiB, o);
  back(0);
  start_log();
  p2m->mark_dirty(Gpa(0));
  EXPECT_FALSE(look(0).writable());
  p2m->stop_dirty_log(Gpa(0), kAll);
  EXPECT_TRUE(look(0).rom());
  EXPECT_FALSE(look(0).writable());
}

}  // namespace
}  // namespace gnomon

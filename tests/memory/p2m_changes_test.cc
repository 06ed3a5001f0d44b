// SPDX-License-Identifier: Apache-2.0
#include "tests/memory/p2m_fixture.h"

namespace gnomon {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::IsEmpty;

class P2mChangesTest : public P2mTest {
 protected:
  /// A slot of `bytes` with one large page at 0, and a number in each of its frames.
  void with_large_page(uint64_t bytes = 4_MiB, PageSize size = PageSize::k2M) {
    add_slot(0, bytes, options(size));
    ASSERT_EQ(back(0).size(), size);
    for (uint64_t gpa = 0; gpa < 2_MiB; gpa += 4_KiB) store(gpa, gpa + 1);
    what_was_told();
  }
  void expect_contents(uint64_t except = ~uint64_t{0}) {
    for (uint64_t gpa = 0; gpa < 2_MiB; gpa += 4_KiB) {
      if (gpa != except) {
        ASSERT_EQ(load(gpa), gpa + 1);
      }
    }
  }
};

TEST_F(P2mChangesTest, ChangesNeedASlotAndTheRightState) {
  add_slot(0x1000, 0x1000);
  ASSERT_TRUE(p2m->add_mmio(Gpa(0x5000), 0x1000).ok());
  what_was_told();
  for (const uint64_t gpa : {uint64_t{0x5000}, 4_GiB}) {
    const std::string name = to_string(Gpa(gpa));
    EXPECT_THAT(p2m->remap(Gpa(gpa)), IsError(StatusCode::kNotFound, "remap: " + name));
    EXPECT_THAT(p2m->balloon(Gpa(gpa)), IsError(StatusCode::kNotFound, "balloon: " + name));
    EXPECT_THAT(p2m->deflate(Gpa(gpa)), IsError(StatusCode::kNotFound, "deflate: " + name));
    EXPECT_THAT(p2m->split(Gpa(gpa)), IsError(StatusCode::kNotFound, "split: " + name));
    EXPECT_THAT(p2m->promote(Gpa(gpa)), IsError(StatusCode::kNotFound, "promote: " + name));
  }
  const std::string lazy = "gpa:0x0000000000001000 is lazy";
  EXPECT_THAT(p2m->remap(Gpa(0x1000)), IsError(StatusCode::kFailedPrecondition, lazy));
  EXPECT_THAT(p2m->split(Gpa(0x1000)), IsError(StatusCode::kFailedPrecondition, lazy));
  EXPECT_THAT(p2m->deflate(Gpa(0x1000)), IsError(StatusCode::kFailedPrecondition, lazy));
  back(0x1000);
  EXPECT_THAT(p2m->deflate(Gpa(0x1000)), IsError(StatusCode::kFailedPrecondition, "is ram"));
  EXPECT_THAT(told, IsEmpty());
  ASSERT_TRUE(p2m->balloon(Gpa(0x1000)).ok());
  what_was_told();
  const std::string ballooned = "gpa:0x0000000000001000 is ballooned";
  EXPECT_THAT(p2m->remap(Gpa(0x1000)), IsError(StatusCode::kFailedPrecondition, ballooned));
  EXPECT_THAT(p2m->split(Gpa(0x1000)), IsError(StatusCode::kFailedPrecondition, ballooned));
  EXPECT_THAT(p2m->balloon(Gpa(0x1000)), IsError(StatusCode::kFailedPrecondition, ballooned));
  EXPECT_THAT(told, IsEmpty());
}

TEST_F(P2mChangesTest, RemapMovesAFrameWithItsContents) {
  for (const Placement placement : {Placement::kContiguous, Placement::kScattered}) {
    start(4_MiB);
    SlotOptions o;
    o.placement = placement;
    add_slot(0, 64_KiB, o);
    store(0x3008, 42);
    const Hpa before = look(0x3000).frame();
    what_was_told();
    ASSERT_TRUE(p2m->remap(Gpa(0x3fff)).ok());
    EXPECT_EQ(seen.at(0).frame(), before) << "told before the change";
    EXPECT_THAT(what_was_told(), ElementsAre("moved 0x3+1"));
    EXPECT_NE(look(0x3000).frame(), before);
    EXPECT_EQ(load(0x3008), 42u);
    EXPECT_EQ(host->owner(before), FrameOwner::kFree);
    EXPECT_EQ(host->free_bytes(), 4_MiB - 4_KiB);
  }
}

TEST_F(P2mChangesTest, TheOldPlaceIsStillWholeWhenTheListenerHears) {
  // A store that reaches the old frame until the listener has dropped its mapping must not be lost.
  add_slot(0, 4_KiB);
  store(0, 1);
  struct LateWriter : P2mListener {
    void before_p2m_change(Gpa first, uint64_t, Change) override { *map->ram_at(first) = 99; }
    P2m* map;
  } writer;
  writer.map = p2m.get();
  p2m->add_listener(&writer);
  ASSERT_TRUE(p2m->remap(Gpa(0)).ok());
  EXPECT_EQ(load(0), 99u);
}

TEST_F(P2mChangesTest, RemapMovesALargePageWhole) {
  with_large_page();
  const Hpa before = look(0).frame();
  ASSERT_TRUE(p2m->remap(Gpa(0x123456)).ok());
  EXPECT_THAT(what_was_told(), ElementsAre("moved 0x0+512"));
  EXPECT_NE(look(0).frame(), before);
  EXPECT_EQ(look(0).size(), PageSize::k2M);
  expect_contents();
  EXPECT_EQ(host->free_bytes(), 14_MiB);
}

TEST_F(P2mChangesTest, RemapWithoutABlockMovesOneFrame) {
  with_large_page();
  fill_host(1);
  const Hpa before = look(0).frame();
  ASSERT_TRUE(p2m->remap(Gpa(0x5000)).ok());
  EXPECT_EQ(seen.at(0).size(), PageSize::k2M);
  EXPECT_THAT(what_was_told(), ElementsAre("moved 0x0+512"));
  for (uint64_t gpa = 0; gpa < 2_MiB; gpa += 4_KiB) {
    EXPECT_EQ(look(gpa).size(), PageSize::k4K);
    EXPECT_EQ(look(gpa).frame() == Hpa(before.value() + gpa), gpa != 0x5000);
  }
  expect_contents();
  EXPECT_EQ(host->free_bytes(), 4_KiB);
}

TEST_F(P2mChangesTest, RemapOnAFullHostChangesNothing) {
  with_large_page();
  fill_host();
  EXPECT_THAT(p2m->remap(Gpa(0x5000)),
              IsError(StatusCode::kResourceExhausted, "gpa:0x0000000000005000"));
  EXPECT_THAT(told, IsEmpty());
  EXPECT_EQ(look(0x5000).size(), PageSize::k2M);
  expect_contents();
}

TEST_F(P2mChangesTest, BalloonFreesTheFrame) {
  add_slot(0, 64_KiB);
  store(0x3000, 42);
  const Hpa before = look(0x3000).frame();
  ASSERT_TRUE(p2m->balloon(Gpa(0x3123)).ok());
  EXPECT_TRUE(seen.at(0).is_ram());
  EXPECT_THAT(what_was_told(), ElementsAre("removed 0x3+1"));
  EXPECT_EQ(state(0x3000), FrameState::kBallooned);
  EXPECT_EQ(host->owner(before), FrameOwner::kFree);
  EXPECT_EQ(back(0x3000).state(), FrameState::kBallooned);
  ASSERT_TRUE(p2m->deflate(Gpa(0x3000)).ok());
  EXPECT_THAT(told, IsEmpty());
  EXPECT_EQ(state(0x3000), FrameState::kLazy);
  EXPECT_TRUE(back(0x3000).is_ram());
  EXPECT_EQ(load(0x3000), 0u);
}

TEST_F(P2mChangesTest, BalloonOfALazyFrame) {
  add_slot(0, 64_KiB);
  ASSERT_TRUE(p2m->balloon(Gpa(0x3000)).ok());
  EXPECT_EQ(state(0x3000), FrameState::kBallooned);
  EXPECT_EQ(host->free_bytes(), host->bytes());
  EXPECT_THAT(what_was_told(), ElementsAre("removed 0x3+1"));
}

TEST_F(P2mChangesTest, BalloonBreaksALargePage) {
  with_large_page();
  ASSERT_TRUE(p2m->balloon(Gpa(0x5000)).ok());
  EXPECT_THAT(what_was_told(), ElementsAre("moved 0x0+512", "removed 0x5+1"));
  for (uint64_t gpa = 0; gpa < 2_MiB; gpa += 4_KiB) {
    EXPECT_EQ(look(gpa).size(), PageSize::k4K);
    EXPECT_EQ(look(gpa).is_ram(), gpa != 0x5000);
  }
  expect_contents(0x5000);
  EXPECT_EQ(host->free_bytes(), 14_MiB + 4_KiB);
}

TEST_F(P2mChangesTest, BalloonBreaksAGigabytePageAroundTheFrame) {
  start(2_GiB);
  with_large_page(1_GiB, PageSize::k1G);
  ASSERT_TRUE(p2m->balloon(Gpa(2_MiB + 0x5000)).ok());
  EXPECT_THAT(what_was_told(), ElementsAre("moved 0x0+262144", "removed 0x205+1"));
  const uint64_t before = look(0).frame().value();
  for (uint64_t gpa = 0; gpa < 1_GiB; gpa += 4_KiB) {
    if (gpa == 2_MiB + 0x5000) continue;
    ASSERT_TRUE(look(gpa).is_ram());
    ASSERT_EQ(look(gpa).size(), gpa >> 21 == 1 ? PageSize::k4K : PageSize::k2M);
    ASSERT_EQ(look(gpa).frame(), Hpa(before + gpa));
  }
  expect_contents();
  EXPECT_EQ(host->free_bytes(), 1_GiB + 4_KiB);
  ASSERT_TRUE(p2m->remove_slot(Gpa(0)).ok());
  EXPECT_EQ(host->free_bytes(), 2_GiB);
}

TEST_F(P2mChangesTest, RemapOfAGigabytePage) {
  start(3_GiB);
  with_large_page(1_GiB, PageSize::k1G);
  store(1_GiB - 8, 77);
  const Hpa before = look(0).frame();
  ASSERT_TRUE(p2m->remap(Gpa(512_MiB)).ok());
  EXPECT_THAT(what_was_told(), ElementsAre("moved 0x0+262144"));
  EXPECT_EQ(look(0).size(), PageSize::k1G);
  EXPECT_NE(look(0).frame(), before);
  EXPECT_EQ(load(1_GiB - 8), 77u);
  expect_contents();

  ASSERT_TRUE(host->allocate(FrameOwner::kVmm, PageSize::k1G));
  ASSERT_TRUE(p2m->remap(Gpa(512_MiB)).ok());
  EXPECT_THAT(what_was_told(), ElementsAre("moved 0x0+262144"));
  EXPECT_EQ(look(0).size(), PageSize::k2M);
  EXPECT_EQ(look(512_MiB).size(), PageSize::k4K);
  EXPECT_EQ(load(1_GiB - 8), 77u);
  expect_contents();
}

TEST_F(P2mChangesTest, SplitIsInPlace) {
  with_large_page();
  const Hpa before = look(0).frame();
  ASSERT_TRUE(p2m->split(Gpa(0x77000)).ok());
  EXPECT_EQ(seen.at(0).size(), PageSize::k2M);
  EXPECT_THAT(what_was_told(), ElementsAre("moved 0x0+512"));
  for (uint64_t gpa = 0; gpa < 2_MiB; gpa += 4_KiB) {
    ASSERT_EQ(look(gpa).size(), PageSize::k4K);
    ASSERT_EQ(look(gpa).frame(), Hpa(before.value() + gpa));
  }
  expect_contents();
  ASSERT_TRUE(p2m->split(Gpa(0x77000)).ok());
  EXPECT_THAT(told, IsEmpty()) << "nothing to do";
}

TEST_F(P2mChangesTest, SplitOfAGigabytePageLeavesSmallPages) {
  start(2_GiB);
  with_large_page(1_GiB, PageSize::k1G);
  ASSERT_TRUE(p2m->split(Gpa(0)).ok());
  for (uint64_t gpa = 0; gpa < 1_GiB; gpa += 4_KiB) ASSERT_EQ(look(gpa).size(), PageSize::k4K);
  expect_contents();
}

TEST_F(P2mChangesTest, PromoteGathersARegion) {
  add_slot(0, 4_MiB);
  for (uint64_t gpa = 2_MiB; gpa < 4_MiB; gpa += 8_KiB) store(gpa, gpa);  // the others stay lazy
  ASSERT_TRUE(p2m->promote(Gpa(2_MiB + 0x3000)).ok());
  EXPECT_THAT(what_was_told(), ElementsAre("moved 0x200+512"));
  EXPECT_TRUE(look(2_MiB).frame().is_aligned(PageSize::k2M));
  for (uint64_t gpa = 2_MiB; gpa < 4_MiB; gpa += 4_KiB) {
    ASSERT_EQ(look(gpa).size(), PageSize::k2M);
    ASSERT_EQ(look(gpa).frame().value(), look(2_MiB).frame().value() + gpa - 2_MiB);
    ASSERT_EQ(load(gpa), gpa % 8_KiB == 0 ? gpa : 0);
  }
  EXPECT_EQ(host->free_bytes(), 14_MiB);
  ASSERT_TRUE(p2m->promote(Gpa(2_MiB)).ok());
  EXPECT_THAT(told, IsEmpty()) << "nothing to do";
}

TEST_F(P2mChangesTest, PromoteAfterSplitMovesNothing) {
  with_large_page();
  const Hpa before = look(0).frame();
  ASSERT_TRUE(p2m->split(Gpa(0)).ok());
  fill_host();
  what_was_told();
  ASSERT_TRUE(p2m->promote(Gpa(0)).ok());
  EXPECT_THAT(what_was_told(), ElementsAre("moved 0x0+512"));
  EXPECT_EQ(look(0).frame(), before);
  EXPECT_EQ(look(0).size(), PageSize::k2M);
  expect_contents();
}

TEST_F(P2mChangesTest, PromoteRefusals) {
  start(4_MiB);
  add_slot(1_MiB, 4_MiB);
  back(2_MiB);
  what_was_told();
  EXPECT_THAT(p2m->promote(Gpa(1_MiB)),
              IsError(StatusCode::kFailedPrecondition, "not all in its slot"));
  EXPECT_THAT(p2m->promote(Gpa(4_MiB)),
              IsError(StatusCode::kFailedPrecondition, "gpa:0x0000000000400000"));
  ASSERT_TRUE(p2m->balloon(Gpa(3_MiB)).ok());
  what_was_told();
  EXPECT_THAT(p2m->promote(Gpa(2_MiB)),
              IsError(StatusCode::kFailedPrecondition, "gpa:0x0000000000300000 is ballooned"));
  ASSERT_TRUE(p2m->deflate(Gpa(3_MiB)).ok());
  fill_host(100);
  EXPECT_THAT(p2m->promote(Gpa(2_MiB)), IsError(StatusCode::kResourceExhausted, "no 2M page"));
  EXPECT_THAT(told, IsEmpty());
}

TEST_F(P2mChangesTest, PromoteLeavesAGigabytePageAlone) {
  start(2_GiB);
  with_large_page(1_GiB, PageSize::k1G);
  ASSERT_TRUE(p2m->promote(Gpa(4_MiB)).ok());
  EXPECT_EQ(look(4_MiB).size(), PageSize::k1G);
  EXPECT_THAT(told, IsEmpty());
}

TEST_F(P2mChangesTest, MovingZeroFramesDoesNotDisturbContents) {
  with_large_page();
  for (uint64_t gpa = 0; gpa < 2_MiB; gpa += 8_KiB) store(gpa, 0);
  store(0x4000 + 4088, 5);  // only the last word of a frame
  ASSERT_TRUE(p2m->remap(Gpa(0)).ok());
  for (uint64_t gpa = 0; gpa < 2_MiB; gpa += 4_KiB) {
    ASSERT_EQ(load(gpa), gpa % 8_KiB == 0 ? 0 : gpa + 1);
  }
  EXPECT_EQ(load(0x4000 + 4088), 5u);
}

}  // namespace
}  // namespace gnomon

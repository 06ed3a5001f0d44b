// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "tests/memory/p2m_fixture.h"

namespace gnomon {
namespace {

using absl::StatusCode;
using testing::IsEmpty;

TEST_F(P2mTest, AFrameIsBackedOnceAndZeroed) {
  add_slot(0x1000, 0x4000);
  const P2mEntry e = back(0x2345);
  ASSERT_TRUE(e.is_ram());
  EXPECT_EQ(e.raw(), look(0x2000).raw());
  EXPECT_EQ(e.size(), PageSize::k4K);
  EXPECT_TRUE(e.writable());
  EXPECT_EQ(host->owner(e.frame()), FrameOwner::kGuestRam);
  EXPECT_EQ(load(0x2000), 0u);
  EXPECT_EQ(back(0x2fff).raw(), e.raw());
  EXPECT_EQ(state(0x1000), FrameState::kLazy);
  EXPECT_EQ(state(0x3000), FrameState::kLazy);
  EXPECT_EQ(p2m->ram_at(Gpa(0x2345)), host->at(e.frame()) + 0x345);
  EXPECT_EQ(p2m->ram_at(Gpa(0x1000)), nullptr);
  EXPECT_THAT(told, IsEmpty());
}

TEST_F(P2mTest, ContiguousPlacementKeepsNeighbours) {
  add_slot(0, 4_MiB);
  for (uint64_t gpa = 0; gpa < 4_MiB; gpa += 4_KiB) {
    EXPECT_EQ(back(gpa).frame(), Hpa(2_MiB + gpa));
  }
}

TEST_F(P2mTest, ScatteredPlacementIsSeeded) {
  const auto frames_with_seed = [&](uint64_t seed) {
    start(64_MiB);
    SlotOptions o;
    o.placement = Placement::kScattered;
    o.seed = seed;
    add_slot(0, 1_MiB, o);
    std::vector<uint64_t> frames;
    for (uint64_t gpa = 0; gpa < 1_MiB; gpa += 4_KiB) frames.push_back(back(gpa).frame().value());
    return frames;
  };
  const std::vector<uint64_t> one = frames_with_seed(1);
  EXPECT_EQ(one, frames_with_seed(1));
  EXPECT_NE(one, frames_with_seed(2));
  std::set<uint64_t> blocks;
  for (const uint64_t frame : one) blocks.insert(frame >> 21);
  EXPECT_GT(blocks.size(), 25u);
}

TEST_F(P2mTest, ALargePageBacksItsWholeRegion) {
  add_slot(1_MiB, 6_MiB, options(PageSize::k2M));  // whole regions at 2 and 4 MiB
  const P2mEntry e = back(2_MiB + 0x5678);
  EXPECT_EQ(e.size(), PageSize::k2M);
  for (uint64_t offset = 0; offset < 2_MiB; offset += 4_KiB) {
    const P2mEntry f = look(2_MiB + offset);
    ASSERT_TRUE(f.is_ram());
    ASSERT_EQ(f.size(), PageSize::k2M);
    ASSERT_EQ(f.frame().value(), look(2_MiB).frame().value() + offset);
  }
  EXPECT_TRUE(look(2_MiB).frame().is_aligned(PageSize::k2M));
  EXPECT_EQ(state(2_MiB - 1), FrameState::kLazy);
  EXPECT_EQ(state(4_MiB), FrameState::kLazy);
  EXPECT_EQ(back(1_MiB).size(), PageSize::k4K) << "the region begins before the slot";
  EXPECT_EQ(back(6_MiB).size(), PageSize::k4K) << "the region ends after the slot";
}

TEST_F(P2mTest, WithoutABlockSmallerPagesDo) {
  start(4_MiB);
  ASSERT_TRUE(host->allocate(FrameOwner::kVmm));
  add_slot(0, 6_MiB, options(PageSize::k2M));
  EXPECT_EQ(back(0).size(), PageSize::k2M);
  EXPECT_EQ(back(2_MiB).size(), PageSize::k4K);
  EXPECT_EQ(state(2_MiB + 4_KiB), FrameState::kLazy);
}

TEST_F(P2mTest, ATouchedRegionStaysSmall) {
  start(8_MiB);
  fill_host(3);
  add_slot(0, 6_MiB, options(PageSize::k2M));
  EXPECT_EQ(back(0).size(), PageSize::k4K);
  EXPECT_EQ(back(2_MiB + 256_KiB).size(), PageSize::k4K);
  EXPECT_EQ(back(6_MiB - 4_KiB).size(), PageSize::k4K);
  host->free(Hpa(2_MiB), PageSize::k2M);  // of those fill_host took
  EXPECT_EQ(back(4_KiB).size(), PageSize::k4K);
  EXPECT_EQ(back(2_MiB).size(), PageSize::k4K);
  EXPECT_EQ(back(4_MiB).size(), PageSize::k4K);
}

TEST_F(P2mTest, ARegionWithABalloonedFrameUsesSmallPages) {
  add_slot(0, 4_MiB, options(PageSize::k2M));
  ASSERT_TRUE(p2m->balloon(Gpa(0x100000)).ok());
  EXPECT_EQ(back(0).size(), PageSize::k4K);
  EXPECT_EQ(state(0x100000), FrameState::kBallooned);
  EXPECT_EQ(state(0x1000), FrameState::kLazy);
  EXPECT_EQ(back(0x100000).state(), FrameState::kBallooned);
  EXPECT_EQ(back(2_MiB).size(), PageSize::k2M);
}

TEST_F(P2mTest, GigabytePages) {
  start(3_GiB);
  add_slot(0, 3_GiB + 4_MiB, options(PageSize::k1G));
  EXPECT_EQ(back(1_GiB + 12345).size(), PageSize::k1G);
  EXPECT_EQ(look(2_GiB - 1).frame(), Hpa(look(1_GiB).frame().value() + 1_GiB - 4_KiB));
  EXPECT_TRUE(look(1_GiB).frame().is_aligned(PageSize::k1G));
  EXPECT_EQ(back(0).size(), PageSize::k1G);
  EXPECT_EQ(back(2_GiB).size(), PageSize::k2M) << "the host has no third";
  EXPECT_EQ(state(2_GiB + 2_MiB), FrameState::kLazy);
  EXPECT_EQ(back(3_GiB).size(), PageSize::k2M) << "the region ends after the slot";
  ASSERT_TRUE(p2m->remove_slot(Gpa(0)).ok());
  EXPECT_EQ(host->free_bytes(), 3_GiB);
}

TEST_F(P2mTest, AGigabyteThatWasTouchedStaysSmall) {
  start(4_GiB);
  for (const uint64_t touched : {uint64_t{0}, 512_MiB, 1_GiB - 4_KiB}) {
    add_slot(0, 1_GiB, options(PageSize::k1G));
    ASSERT_TRUE(p2m->balloon(Gpa(touched)).ok());
    EXPECT_EQ(back(256_MiB).size(), PageSize::k2M);
    ASSERT_TRUE(p2m->remove_slot(Gpa(0)).ok());
  }
}

TEST_F(P2mTest, FragmentedPercentDecidesByRegion) {
  start(2_GiB);
  const auto large_regions = [&](uint8_t percent, uint64_t seed) {
    SlotOptions o = options(PageSize::k2M);
    o.fragmented_percent = percent;
    o.seed = seed;
    add_slot(0, 1_GiB, o);
    std::vector<bool> large;
    for (uint64_t gpa = 0; gpa < 1_GiB; gpa += 2_MiB) {
      large.push_back(back(gpa + 0x3000).size() == PageSize::k2M);
    }
    EXPECT_TRUE(p2m->remove_slot(Gpa(0)).ok());
    return large;
  };
  const auto count = [](const std::vector<bool>& v) {
    return std::count(v.begin(), v.end(), true);
  };
  EXPECT_EQ(count(large_regions(0, 1)), 512);
  EXPECT_EQ(count(large_regions(100, 1)), 0);
  const std::vector<bool> half = large_regions(50, 1);
  EXPECT_NEAR(count(half), 256, 60);
  EXPECT_NEAR(count(large_regions(10, 1)), 461, 40);
  EXPECT_EQ(half, large_regions(50, 1));
  EXPECT_NE(half, large_regions(50, 2));
}

TEST_F(P2mTest, AFragmentedRegionPreventsAGigabytePage) {
  start(3_GiB);
  SlotOptions o = options(PageSize::k1G);
  o.fragmented_percent = 10;
  add_slot(0, 1_GiB, o);
  EXPECT_LT(back(0).size(), PageSize::k1G);
}

TEST_F(P2mTest, AFullHostLeavesTheFrameLazy) {
  for (const Placement placement : {Placement::kContiguous, Placement::kScattered}) {
    start(4_MiB);
    fill_host(1);
    SlotOptions o = options(PageSize::k2M);
    o.placement = placement;
    add_slot(0, 2_MiB, o);
    EXPECT_TRUE(back(0x3000).is_ram());
    EXPECT_EQ(back(0x4000).state(), FrameState::kLazy);
    EXPECT_EQ(state(0x4000), FrameState::kLazy);
    ASSERT_TRUE(p2m->balloon(Gpa(0x3000)).ok());
    EXPECT_TRUE(back(0x4000).is_ram());
  }
}

TEST_F(P2mTest, SlotsThatAreNotLazyAreBackedAtOnce) {
  start(8_MiB);
  SlotOptions o = options(PageSize::k2M);
  o.lazy = false;
  add_slot(0, 3_MiB, o);
  EXPECT_EQ(look(0).size(), PageSize::k2M);
  for (uint64_t gpa = 2_MiB; gpa < 3_MiB; gpa += 4_KiB) {
    ASSERT_TRUE(look(gpa).is_ram());
    ASSERT_EQ(look(gpa).size(), PageSize::k4K);
  }
  EXPECT_EQ(host->free_bytes(), 5_MiB);
  EXPECT_THAT(p2m->add_slot(Gpa(16_MiB), 5_MiB + 4_KiB, o),
              IsError(StatusCode::kResourceExhausted, "[0x1000000, 0x1501000)"));
  EXPECT_THAT(told, IsEmpty());
  EXPECT_EQ(host->free_bytes(), 5_MiB);
  EXPECT_EQ(state(16_MiB), FrameState::kAbsent);
  add_slot(16_MiB, 5_MiB, o);
  EXPECT_EQ(host->free_bytes(), 0u);
}

TEST_F(P2mTest, RomIsNeverWritable) {
  SlotOptions o;
  o.rom = true;
  add_slot(0, 0x4000, o);
  EXPECT_TRUE(look(0).rom());
  const P2mEntry e = back(0x1000);
  EXPECT_TRUE(e.is_ram());
  EXPECT_TRUE(e.rom());
  EXPECT_FALSE(e.writable());
  ASSERT_TRUE(p2m->remap(Gpa(0x1000)).ok());
  EXPECT_TRUE(look(0x1000).rom());
  ASSERT_TRUE(p2m->balloon(Gpa(0x1000)).ok());
  ASSERT_TRUE(p2m->deflate(Gpa(0x1000)).ok());
  EXPECT_FALSE(back(0x1000).writable());
  ASSERT_TRUE(p2m->remove_slot(Gpa(0)).ok());
  add_slot(0, 0x4000);
  EXPECT_TRUE(back(0).writable()) << "the numbers are the same, the flag is gone";
}

}  // namespace
}  // namespace gnomon

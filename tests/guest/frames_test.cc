// SPDX-License-Identifier: Apache-2.0
#include "traces/guest/frames.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/scenario/random.h"

namespace gnomon::guest {
namespace {

GuestOptions memory(uint64_t bytes, FramePlacement placement = FramePlacement::kSequential) {
  GuestOptions o;
  o.memory_bytes = bytes;
  o.placement = placement;
  return o;
}

TEST(SummaryBitmap, FindsWhatANaiveSearchFinds) {
  scenario::Random random(1);
  for (const uint64_t size : {1u, 63u, 64u, 65u, 4096u, 5000u}) {
    SummaryBitmap bits(size);
    std::set<uint64_t> clear;
    for (uint64_t i = 0; i < size; ++i) clear.insert(i);
    for (int step = 0; step < 4000; ++step) {
      const uint64_t at =
          random.percent(50) && !clear.empty() ? *clear.begin() : random.below(size);
      if (random.percent(70)) {
        bits.set(at);
        clear.erase(at);
      } else {
        bits.clear(at);
        clear.insert(at);
      }
      const uint64_t from = random.below(size);
      const auto it = clear.lower_bound(from);
      ASSERT_EQ(bits.first_clear(from),
                it == clear.end() ? std::nullopt : std::optional<uint64_t>(*it));
    }
  }
}

TEST(Frames, NoFrameIsGivenOutTwiceAndNoneIsLost) {
  for (const FramePlacement placement :
       {FramePlacement::kSequential, FramePlacement::kRandom, FramePlacement::kFragmented}) {
    Frames frames(memory((9 << 20) + 5 * kFrameBytes, placement));
    scenario::Random random(7);
    std::set<uint64_t> taken;
    std::vector<uint64_t> pages, blocks;
    for (int step = 0; step < 20000; ++step) {
      const uint64_t what = random.below(100);
      if (what < 50) {
        if (const auto f = frames.take(); f) {
          ASSERT_NE(*f, 0u);
          ASSERT_LT(*f, frames.total());
          ASSERT_TRUE(taken.insert(*f).second);
          pages.push_back(*f);
        }
      } else if (what < 53) {
        if (const auto f = frames.take_block(); f) {
          for (uint64_t i = 0; i < kBlockFrames; ++i) ASSERT_TRUE(taken.insert(*f + i).second);
          blocks.push_back(*f);
        }
      } else if (what < 56 && !blocks.empty()) {
        std::swap(blocks[random.below(blocks.size())], blocks.back());
        for (uint64_t i = 0; i < kBlockFrames; ++i) taken.erase(blocks.back() + i);
        if (random.percent(50)) {
          frames.drop_block_owner(blocks.back());
        } else {
          frames.split_block(blocks.back());
          for (uint64_t i = 0; i < kBlockFrames; ++i) frames.drop_owner(blocks.back() + i);
        }
        blocks.pop_back();
      } else if (!pages.empty()) {
        std::swap(pages[random.below(pages.size())], pages.back());
        taken.erase(pages.back());
        frames.drop_owner(pages.back());
        pages.pop_back();
      }
      ASSERT_EQ(frames.in_use(), taken.size());
      ASSERT_TRUE(taken.empty() || *taken.rbegin() < frames.end());
    }
  }
}

TEST(Frames, AShareOfTheBlocksIsSpoiled) {
  GuestOptions o = memory(uint64_t{1} << 30, FramePlacement::kFragmented);
  o.fragmented_percent = 100;
  EXPECT_FALSE(Frames(o).take_block());
  o.fragmented_percent = 50;
  Frames half(o);
  uint64_t blocks = 0;
  while (half.take_block()) ++blocks;
  EXPECT_GT(blocks, 200u);
  EXPECT_LT(blocks, 312u);
}

TEST(Frames, ATebibyteCostsNothingUntilUsed) {
  for (const FramePlacement placement : {FramePlacement::kSequential, FramePlacement::kRandom}) {
    Frames frames(memory(uint64_t{1} << 40, placement));
    ASSERT_TRUE(frames.complete());
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(frames.take());
      ASSERT_TRUE(frames.take_block());
    }
    EXPECT_EQ(frames.in_use(), 1000 * (1 + kBlockFrames));
  }
}

TEST(Frames, AFrameOfABlockStaysWhileTheBlockHasAnOwner) {
  Frames frames(memory(8 << 20));
  const uint64_t block = *frames.take_block();
  frames.add_block_owner(block);
  EXPECT_FALSE(frames.block_is_exclusive(block));
  frames.split_block(block);
  EXPECT_EQ(frames.owners(block), 2u);
  frames.drop_owner(block + 3);
  EXPECT_EQ(frames.owners(block + 3), 1u);
  EXPECT_EQ(frames.in_use(), kBlockFrames);
  frames.drop_block_owner(block);
  EXPECT_EQ(frames.in_use(), kBlockFrames - 1);
}

}  // namespace
}  // namespace gnomon::guest

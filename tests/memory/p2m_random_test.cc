// SPDX-License-Identifier: Apache-2.0
#include <random>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/p2m_model/model.h"
#include "tests/p2m_model/program.h"
#include "tests/support/scale.h"

namespace gnomon {
namespace {

class P2mProgramTest : public testing::TestWithParam<int> {};

TEST_P(P2mProgramTest, BehavesLikeTheNaiveModel) {
  for (int i = 0; i < 12; ++i) {
    std::mt19937 random(GetParam() * 1000 + i);
    std::vector<uint8_t> program(400);
    for (uint8_t& byte : program) byte = static_cast<uint8_t>(random());
    ASSERT_EQ(run_p2m_program(program.data(), program.size()), "") << "program " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, P2mProgramTest, testing::Range(1, 9));

// All sequences of three changes to two frames of one 2M region, from each of four starts. A short
// run takes every seventh sequence, which still are all pairs of changes.
TEST(P2mExhaustiveTest, ThreeChangesInOneRegion) {
  constexpr uint64_t f = 512, g = 777;
  constexpr int kOperations = 10;
  const auto apply = [](P2mModel& m, int operation) {
    switch (operation) {
      case 0: return m.write(f);
      case 1: return m.write(g);
      case 2: return m.balloon(f);
      case 3: return m.balloon(g);
      case 4: return m.deflate(f);
      case 5: return m.remap(f);
      case 6: return m.split(f);
      case 7: return m.promote(f);
      case 8: return m.start_dirty_log(f, 300);
      default: return m.take_dirty(0, P2mModel::kGuestFrames);
    }
  };
  const int step = by_scale(7, 1, 1);
  for (int start = 0; start < 4; ++start) {
    for (int sequence = 0; sequence < kOperations * kOperations * kOperations; sequence += step) {
      P2mModel m;
      SlotOptions options;
      options.backing = start == 0 ? PageSize::k4K : PageSize::k2M;
      options.placement = start == 1 ? Placement::kScattered : Placement::kContiguous;
      ASSERT_EQ(m.add_slot(500, 600, options), "");
      if (start >= 2) {
        ASSERT_EQ(m.write(600), "");
      }
      if (start == 3) {  // the host has no other block
        ASSERT_EQ(m.host_takes(PageSize::k2M, false, 0), "");
        ASSERT_EQ(m.host_takes(PageSize::k4K, false, 0), "");
      }
      for (int rest = sequence, i = 0; i < 3; ++i, rest /= kOperations) {
        ASSERT_EQ(apply(m, rest % kOperations), "")
            << "start " << start << " sequence " << sequence;
      }
    }
  }
}

}  // namespace
}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#include "tests/nested/lockstep.h"

#include <gtest/gtest.h>

#include "tests/nested/machine.h"
#include "tests/support/scale.h"

namespace gnomon::nested_test {
namespace {

TEST(Lockstep, RandomGuestsSeeWhatTheNativeProcessorShows) {
  const unsigned guests = by_scale(20, 200, 2000);
  for (size_t config = 0; config < Lockstep::kConfigs.size(); ++config) {
    for (unsigned seed = 0; seed < guests; ++seed) {
      Random random(seed);
      Lockstep lockstep(Lockstep::kConfigs[config]);
      for (unsigned i = 0; i < 400; ++i) {
        const std::string wrong = lockstep.step([&](uint64_t bound) { return random.below(bound); });
        ASSERT_EQ(wrong, "") << "config " << config << " seed " << seed << " step " << i;
      }
    }
  }
  RecordProperty("steps", static_cast<int>(guests * 400 * Lockstep::kConfigs.size()));
}

}  // namespace
}  // namespace gnomon::nested_test

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "gnomon/cost/model.h"
#include "tests/scenario/random.h"

namespace gnomon {
namespace {

CostBreakdown costs(double rest, double exits) {
  CostBreakdown b;
  b.total = rest + exits;
  b.exits = exits;
  return b;
}

TEST(BreakEven, SolvedByHand) {
  // 100 + 40 f = 200 + 10 f
  EXPECT_DOUBLE_EQ(break_even(costs(100, 40), costs(200, 10)).value(), 100.0 / 30);
  EXPECT_DOUBLE_EQ(break_even(costs(200, 10), costs(100, 40)).value(), 100.0 / 30);
  EXPECT_DOUBLE_EQ(break_even(costs(100, 0), costs(0, 50)).value(), 2);
}

TEST(BreakEven, NoneWhereTheOrderNeverFlips) {
  EXPECT_FALSE(break_even(costs(100, 10), costs(200, 10))) << "the same exits";
  EXPECT_FALSE(break_even(costs(100, 0), costs(200, 0))) << "no exits at all";
  EXPECT_FALSE(break_even(costs(0, 0), costs(0, 0)));
  EXPECT_FALSE(break_even(costs(100, 10), costs(200, 20))) << "dearer in both";
  EXPECT_FALSE(break_even(costs(100, 10), costs(100, 20))) << "only with free exits";
}

TEST(BreakEven, EqualTotals) {
  EXPECT_EQ(break_even(costs(90, 10), costs(60, 40)), 1.0);
  EXPECT_EQ(break_even(costs(0.1, 0.2), costs(0.2, 0.1)), 1.0);
  EXPECT_FALSE(break_even(costs(90, 10), costs(90, 10)));
}

// With all prices of exits times the factor, the totals are equal.
TEST(BreakEven, HoldsWhenPricedAgain) {
  scenario::Random rng(21);
  int solved = 0;
  for (int round = 0; round < 500; ++round) {
    CostModel model = find_cost_model("vtx").value();
    for (double& each : model.prices) each = static_cast<double>(1 + rng.below(3000));
    Counters a, b;
    for (const CounterInfo& row : counter_table()) {
      a[row.id] = rng.below(10000);
      b[row.id] = rng.below(10000);
    }
    const auto factor = break_even(price(model, a, nullptr), price(model, b, nullptr));
    if (!factor) continue;
    ++solved;
    ASSERT_GT(*factor, 0);
    CostModel scaled = model;
    for (auto p = static_cast<size_t>(Price::kExit); p <= static_cast<size_t>(Price::kHandleMmio);
         ++p) {
      scaled.prices[p] *= *factor;
    }
    const double total_a = price(scaled, a, nullptr).total,
                 total_b = price(scaled, b, nullptr).total;
    EXPECT_NEAR(total_a / total_b, 1, 1e-9) << "round " << round << ", factor " << *factor;
  }
  EXPECT_GT(solved, 50);
}

}  // namespace
}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "gnomon/cost/model.h"
#include "tests/scenario/random.h"

namespace gnomon {
namespace {

constexpr auto kExitFirst = static_cast<size_t>(Counter::kExitPageFault);
constexpr auto kExitLast = static_cast<size_t>(Counter::kExitMmio);

CostModel model_of_ones() {
  CostModel model;
  model.prices.fill(1);
  return model;
}

Counters all_ones() {
  Counters counters;
  for (const CounterInfo& row : counter_table()) counters[row.id] = 1;
  return counters;
}

CacheStats stats_of_ones() {
  CacheStats stats;
  for (auto* row : {&stats.guest, &stats.host, &stats.shadow, &stats.data}) row->fill(1);
  return stats;
}

double group(const CostBreakdown& b, CostGroup g) { return b.groups[static_cast<size_t>(g)]; }

TEST(Price, HandComputed) {
  CostModel model;
  for (size_t i = 0; i < kPriceCount; ++i) model.prices[i] = static_cast<double>(1 + i);
  const auto p = [&](Price which) { return model[which]; };
  Counters c;
  c[Counter::kAccesses] = 1000;
  c[Counter::kTlbHitsL1] = 900;
  c[Counter::kTlbHitsL2] = 60;
  c[Counter::kTlbMisses] = 40;
  c[Counter::kWalks] = 43;
  c[Counter::kWalkGuestL1] = 40;
  c[Counter::kWalkGuestL4] = 7;
  c[Counter::kWalkHostL2] = 11;
  c[Counter::kWalkShadowL5] = 13;
  c[Counter::kExitPageFault] = 5;
  c[Counter::kHiddenFaults] = 3;
  c[Counter::kReflectedFaults] = 2;
  c[Counter::kGuestFaults] = 4;
  c[Counter::kExitCr3] = 6;
  c[Counter::kCr3Loads] = 8;
  c[Counter::kShadowFills] = 9;
  c[Counter::kShadowLargeFills] = 4;
  c[Counter::kTableWrites] = 100;
  c[Counter::kTableBytes] = 1 << 20;

  const double exits = 5 * (p(Price::kExit) + p(Price::kHandlePageFault)) +
                       6 * (p(Price::kExit) + p(Price::kHandleCr3));
  const double same = 1000 * p(Price::kReference) + 60 * p(Price::kTlbHitL2) +
                      71 * p(Price::kWalkStep) + 4 * p(Price::kGuestFault) +
                      8 * p(Price::kCr3Load) + exits + 9 * p(Price::kShadowFill) +
                      2 * p(Price::kInject);
  const CostBreakdown guessed = price(model, c, nullptr);
  EXPECT_EQ(guessed.total, same + 71 * p(Price::kCacheGuess));
  EXPECT_EQ(guessed.exits, exits);
  EXPECT_EQ(group(guessed, CostGroup::kHostWalk),
            11 * (p(Price::kWalkStep) + p(Price::kCacheGuess)));

  CacheStats caches;
  caches.guest = {40, 4, 2, 1};
  caches.host = {0, 0, 11, 0};
  caches.shadow = {0, 0, 0, 13};
  caches.data = {1u << 30, 1, 1, 1};
  const CostBreakdown found = price(model, c, &caches);
  const double lines = 40 * p(Price::kCacheL1) + 4 * p(Price::kCacheL2) +
                       13 * p(Price::kCacheLast) + 14 * p(Price::kMemory);
  EXPECT_EQ(found.total, same + lines);
  EXPECT_EQ(group(found, CostGroup::kShadowWalk), 13 * (p(Price::kWalkStep) + p(Price::kMemory)));
}

TEST(Price, NothingCostsNothing) {
  for (const CostPreset& preset : cost_presets()) {
    const CostBreakdown b = price(preset.make(), Counters{}, nullptr);
    EXPECT_EQ(b.total, 0) << preset.name;
    EXPECT_TRUE(b.items.empty()) << preset.name;
  }
}

TEST(Price, ItemsGroupsAndTotalAgree) {
  scenario::Random rng(7);
  for (int round = 0; round < 200; ++round) {
    CostModel model;
    for (double& each : model.prices) each = static_cast<double>(rng.below(5000));
    Counters c;
    for (const CounterInfo& row : counter_table()) c[row.id] = rng.below(100000);
    CacheStats stats = stats_of_ones();
    for (auto& n : stats.host) n = rng.below(100000);
    const CostBreakdown b = price(model, c, round % 2 == 0 ? &stats : nullptr);
    std::array<double, kCostGroupCount> groups{};
    double total = 0;
    for (const CostItem& item : b.items) {
      groups[static_cast<size_t>(item.group)] += item.cycles;
      total += item.cycles;
      EXPECT_GT(item.cycles, 0) << item.name;
    }
    EXPECT_EQ(groups, b.groups);
    EXPECT_EQ(total, b.total);
    EXPECT_EQ(b.exits, group(b, CostGroup::kExits));
  }
}

TEST(Price, LinearInCountsAndInPrices) {
  scenario::Random rng(8);
  for (int round = 0; round < 100; ++round) {
    CostModel model, dearer;
    for (size_t i = 0; i < kPriceCount; ++i) {
      model.prices[i] = static_cast<double>(rng.below(1000));
      dearer.prices[i] = 3 * model.prices[i];
    }
    Counters a, b, sum;
    for (const CounterInfo& row : counter_table()) {
      a[row.id] = rng.below(1000);
      b[row.id] = rng.below(1000);
      sum[row.id] = a[row.id] + b[row.id];
    }
    const double cost_a = price(model, a, nullptr).total, cost_b = price(model, b, nullptr).total;
    EXPECT_EQ(price(model, sum, nullptr).total, cost_a + cost_b);
    EXPECT_EQ(price(dearer, a, nullptr).total, 3 * cost_a);
  }
}

TEST(Price, EachPriceIsUsed) {
  const Counters counters = all_ones();
  const CacheStats stats = stats_of_ones();
  const CostModel ones = model_of_ones();
  for (const PriceInfo& info : price_table()) {
    CostModel more = ones;
    more.prices[static_cast<size_t>(info.id)] = 2;
    const bool guess = info.id == Price::kCacheGuess;
    const CacheStats* caches = guess ? nullptr : &stats;
    EXPECT_GT(price(more, counters, caches).total, price(ones, counters, caches).total)
        << info.name;
    // Of the two ways to price a line, only one is ever taken.
    const bool line = info.id >= Price::kCacheL1 && info.id <= Price::kMemory;
    if (guess || line) {
      caches = guess ? &stats : nullptr;
      EXPECT_EQ(price(more, counters, caches).total, price(ones, counters, caches).total)
          << info.name;
    }
  }
}

TEST(Price, EachExitIsPaidOnceWithItsHandling) {
  std::set<Price> handling;
  for (size_t i = kExitFirst; i <= kExitLast; ++i) {
    Counters c;
    c[static_cast<Counter>(i)] = 1;
    CostModel only_exit;
    only_exit.prices[static_cast<size_t>(Price::kExit)] = 1;
    const CostBreakdown b = price(only_exit, c, nullptr);
    EXPECT_EQ(b.total, 1) << counter_table()[i].name;
    EXPECT_EQ(b.exits, 1) << counter_table()[i].name;
    const CostBreakdown full = price(model_of_ones(), c, nullptr);
    EXPECT_EQ(full.total, 2) << counter_table()[i].name;
    EXPECT_EQ(full.exits, 2) << counter_table()[i].name;
    ASSERT_EQ(full.items.size(), 1u);
    EXPECT_EQ(full.items[0].name, counter_table()[i].name);
    for (const CostTerm& term : cost_terms()) {
      if (static_cast<size_t>(term.counter) == i) handling.insert(term.prices[1]);
    }
  }
  EXPECT_EQ(handling.size(), kExitLast - kExitFirst + 1) << "two reasons share a price";
}

TEST(Price, NoCounterIsPaidTwice) {
  std::map<Counter, int> terms;
  for (const CostTerm& term : cost_terms()) {
    EXPECT_EQ(++terms[term.counter], 1) << info(term.counter).name;
    EXPECT_EQ(info(term.counter).kind, CounterKind::kSum) << info(term.counter).name;
  }
  // Parts of other counters, or other views of the same event.
  for (const Counter c :
       {Counter::kHiddenFaults, Counter::kShadowLargeFills, Counter::kNestedLargeFills,
        Counter::kTlbHitsL1, Counter::kTlbMisses, Counter::kWalks, Counter::kMmioAccesses,
        Counter::kTableWritesApplied, Counter::kShadowPagesRecycled, Counter::kEmulatedAccesses}) {
    EXPECT_EQ(terms.count(c), 0u) << info(c).name;
  }
}

TEST(Price, LargestCountsAndPricesStayFinite) {
  CostModel model;
  model.prices.fill(kMaxPrice);
  Counters c;
  for (const CounterInfo& row : counter_table()) c[row.id] = ~uint64_t{0};
  const CostBreakdown b = price(model, c, nullptr);
  EXPECT_TRUE(std::isfinite(b.total));
  c[Counter::kExitMmio] = 0;
  const auto factor = break_even(b, price(model, c, nullptr));
  EXPECT_TRUE(!factor || std::isfinite(*factor));
}

}  // namespace
}  // namespace gnomon

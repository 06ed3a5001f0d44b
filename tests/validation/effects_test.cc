// SPDX-License-Identifier: Apache-2.0
//
// What papers and vendors measured comes out with its sign and in its range: docs/validation.md, a
// test for each of its sections.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gnomon/replay/session.h"

namespace gnomon {
namespace {

/// One replay of a generated stream of 64M, after a warm-up that touches every page.
struct Scenario {
  std::string trace = "gen:gups,bytes=64M,refs=1200K";
  std::vector<std::string> backends = {"native", "shadow", "nested"};
  uint64_t warmup = 800'000;
  std::string tlb = "skylake";
  PageSize host_page = PageSize::k4K;
  HugePages thp = HugePages::kNever;
};

std::vector<ReplayResult> results_of(const Scenario& run) {
  ReplaySetup setup;
  setup.traces = {run.trace};
  setup.warmup = run.warmup;
  setup.cost = cost_presets().front().make();
  setup.machine.tlb = run.tlb;
  setup.machine.caches = "skylake";
  setup.machine.host_page = run.host_page;
  setup.machine.guest.thp = run.thp;
  setup.machine.guest.memory_bytes = uint64_t{1} << 30;
  absl::StatusOr<SessionResult> result = replay(setup, run.backends);
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) return std::vector<ReplayResult>(run.backends.size());
  return std::move(result->machines);
}

double per_walk(const ReplayResult& r) {
  return static_cast<double>(r.counters.walk_references()) /
         static_cast<double>(r.counters[Counter::kWalks]);
}

TEST(Validation, SteadyRandomAccessFavoursShadow) {
  const auto r = results_of({});
  ASSERT_GT(r[0].counters[Counter::kWalks], 100'000u);
  EXPECT_LT(r[1].counters.exits(), 100u) << "nothing changes, so nothing traps";
  EXPECT_LT(r[1].cost.total, r[2].cost.total);
  EXPECT_LT(r[1].cost.total, 1.1 * r[0].cost.total) << "a shadow walk is a native walk";
}

TEST(Validation, ChangingMappingsFavoursNested) {
  for (const char* const trace : {"gen:churn,refs=30K", "gen:fork,refs=50K"}) {
    SCOPED_TRACE(trace);
    const auto r = results_of({.trace = trace, .warmup = 0});
    EXPECT_GT(r[1].counters.exits(), 10 * r[2].counters.exits());
    EXPECT_GT(r[1].cost.total, 2 * r[2].cost.total);
  }
}

TEST(Validation, LargePagesShrinkTheGap) {
  const auto gap = [](const Scenario& run) {
    const auto r = results_of(run);
    return (r[2].cost.total - r[1].cost.total) / r[0].cost.total;
  };
  const double small = gap({});
  const double host = gap({.host_page = PageSize::k2M});
  const double both = gap({.host_page = PageSize::k2M, .thp = HugePages::kAlways});
  EXPECT_GT(small, 0.3);
  EXPECT_LT(host, 0.7 * small);
  EXPECT_LT(both, 0.1);
}

TEST(Validation, OutOfSyncLeavesSaveExits) {
  const auto r = results_of(
      {.trace = "gen:fork,refs=50K", .backends = {"shadow", "shadow:unsync=off"}, .warmup = 0});
  EXPECT_GT(r[0].counters[Counter::kUnsync], 0u);
  EXPECT_LT(r[0].counters.exits(), r[1].counters.exits());
  EXPECT_LT(r[0].counters[Counter::kExitTableWrite], r[1].counters[Counter::kExitTableWrite] / 2);
  EXPECT_LT(r[1].counters.exits(), 3 * r[0].counters.exits()) << "freed tables flood";
}

TEST(Validation, WalkCachesTakeTheNestedWalkFrom24ToAFew) {
  Scenario run;
  run.tlb = "none";
  run.trace = "gen:gups,bytes=64M,refs=600K";
  run.warmup = 500'000;
  const auto without = results_of(run);
  // The walks that end at an untouched page are shorter; there are few.
  EXPECT_NEAR(per_walk(without[0]), 4, 0.2);
  EXPECT_NEAR(per_walk(without[1]), 4, 0.2);
  EXPECT_NEAR(per_walk(without[2]), 24, 0.8);
  const auto with = results_of({});
  EXPECT_GT(per_walk(with[0]), 1.0);
  EXPECT_LT(per_walk(with[0]), 2.2);
  EXPECT_GT(per_walk(with[2]), 2.0);
  EXPECT_LT(per_walk(with[2]), 6.0);
}

// References of a walk with nothing cached: (g + 1)(h + 1) - 1 for g guest and h nested entries.
TEST(Validation, TwoDimensionalReferences) {
  struct Case {
    HugePages thp;
    PageSize host;
    double references;
  };
  for (const Case& c :
       {Case{HugePages::kNever, PageSize::k4K, 24}, Case{HugePages::kNever, PageSize::k2M, 19},
        Case{HugePages::kNever, PageSize::k1G, 14}, Case{HugePages::kAlways, PageSize::k4K, 19},
        Case{HugePages::kAlways, PageSize::k2M, 15}, Case{HugePages::kAlways, PageSize::k1G, 11}}) {
    const auto r = results_of({.trace = "gen:sequential,bytes=64M,refs=400K,writes=100",
                               .backends = {"nested"},
                               .warmup = 300'000,
                               .tlb = "none",
                               .host_page = c.host,
                               .thp = c.thp});
    EXPECT_NEAR(per_walk(r[0]), c.references, 0.5) << c.references;
  }
}

TEST(Validation, LargeHostPagesHelpNestedPaging) {
  const double small = results_of({.backends = {"nested"}})[0].cost.total;
  const double large =
      results_of({.backends = {"nested"}, .host_page = PageSize::k2M})[0].cost.total;
  EXPECT_GT(small / large, 1.03) << "Bhargava et al.: 3 to 22 % on whole programs";
}

TEST(Validation, RandomUpdatesSpendTheirTimeInNestedWalks) {
  const ReplayResult r = results_of({.backends = {"nested"}})[0];
  const double walks = r.cost.groups[static_cast<size_t>(CostGroup::kGuestWalk)] +
                       r.cost.groups[static_cast<size_t>(CostGroup::kHostWalk)];
  EXPECT_GT(walks / r.cost.total, 0.85);
  EXPECT_LT(walks / r.cost.total, 1.0);
}

// Where mappings change agile paging is near nested paging, where they do not, near shadow paging, once an
// interval has passed in which the tables were quiet.
TEST(Validation, AgileIsNearTheBetterOfBoth) {
  const auto churn = results_of(
      {.trace = "gen:churn,refs=30K", .backends = {"shadow", "nested", "agile"}, .warmup = 0});
  EXPECT_LT(churn[2].counters.exits(), churn[0].counters.exits() / 5);
  EXPECT_LT(churn[2].cost.total, 1.2 * churn[1].cost.total);
  const auto steady = results_of({.trace = "gen:gups,bytes=64M,refs=1200K",
                                  .backends = {"shadow", "nested", "agile:period=200000"},
                                  .warmup = 1'000'000});
  EXPECT_LT(per_walk(steady[2]), 1.1 * per_walk(steady[0]));
  EXPECT_LT(steady[2].cost.total, 1.15 * steady[0].cost.total);
  EXPECT_LT(steady[2].cost.total, 0.8 * steady[1].cost.total);
}

}  // namespace
}  // namespace gnomon

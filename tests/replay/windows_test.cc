// SPDX-License-Identifier: Apache-2.0
//
// What is counted: windows, regions of interest, and the series over time.
#include <numeric>

#include "absl/strings/str_cat.h"
#include "tests/replay/programs.h"
#include "tests/replay/support.h"

namespace gnomon::replay_test {
namespace {

uint64_t sum(const std::array<uint64_t, 3>& ops) { return ops[0] + ops[1] + ops[2]; }

/// A system call, then a load of a page of its own, so many times.
Script calls_and_loads(uint64_t n) {
  Script s;
  for (uint64_t i = 0; i < n; ++i) s.syscall(i).load(0x10000000 + i * kPage);
  return s;
}

TEST(Windows, AreExactInReferences) {
  const TemporaryFile file(calls_and_loads(100));
  for (const uint64_t skip : {0, 1, 10, 99}) {
    for (const uint64_t warmup : {0, 1, 20}) {
      for (const uint64_t limit : {0, 1, 30, 1000}) {
        if (skip + warmup >= 100) continue;
        SCOPED_TRACE(absl::StrCat(skip, " ", warmup, " ", limit));
        ReplaySetup setup = small_setup({file.path()});
        setup.skip = skip;
        setup.warmup = warmup;
        setup.limit = limit;
        const SessionResult r = replayed(setup, {"native", "nested"});
        const uint64_t left = 100 - skip - warmup;
        const uint64_t counted = limit == 0 ? left : std::min(limit, left);
        EXPECT_EQ(r.references[0], counted);
        EXPECT_EQ(sum(r.references), counted);
        EXPECT_EQ(r.skipped, skip);
        EXPECT_EQ(r.warmed_up, warmup);
        for (const ReplayResult& m : r.machines) {
          // Events belong to the part of the reference that follows them.
          EXPECT_EQ(m.guest[GuestStat::kSyscalls], counted);
          EXPECT_EQ(m.guest[GuestStat::kFaultsAnonymous], counted);
        }
      }
    }
  }
}

TEST(Windows, EventsOfWhatIsSkippedStillHappen) {
  constexpr uint64_t kAt = 0x20000000;
  Script s;
  s.map(kAt, 8 * kPage, kRw).stores(kAt, 8 * kPage).protect(kAt, 4 * kPage, kMapRead);
  s.map(kAt + kHuge, 8 * kPage, kRw | kMapPopulate).load(kAt);
  s.stores(kAt, 4 * kPage).stores(kAt + kHuge, 8 * kPage);
  const TemporaryFile file(s);
  ReplaySetup setup = small_setup({file.path()});
  setup.skip = 9;
  const SessionResult r = replayed(setup, {"native"});
  EXPECT_EQ(sum(r.references), 12u);
  // Four pages that the mapping forbids to write; eight that are there already.
  EXPECT_GE(r.machines[0].guest[GuestStat::kFaultsRefused], 1u);
  EXPECT_EQ(r.machines[0].guest[GuestStat::kFaultsAnonymous], 4u);
}

TEST(Windows, AModifyIsNotCut) {
  Script s;
  for (int i = 0; i < 10; ++i) s.modify(0x10000000);
  const TemporaryFile file(s);
  ReplaySetup setup = small_setup({file.path()});
  setup.skip = 3;
  setup.limit = 5;
  const SessionResult r = replayed(setup, {"native"});
  EXPECT_EQ(r.skipped, 4u);
  EXPECT_EQ(r.references[0], 3u);
  EXPECT_EQ(r.references[1], 3u);
}

TEST(Regions, CountExactlyWhatIsInside) {
  Script s;
  s.loads(0x10000000, 50 * kPage).mark(1).syscall(1).loads(0x20000000, 7 * kPage).mark(0).mark(2);
  s.syscall(2)
      .loads(0x30000000, 20 * kPage)
      .mark(1)
      .stores(0x40000000, 5 * kPage)
      .mark(2)
      .load(0x50000000);
  const TemporaryFile file(s);
  ReplaySetup setup = small_setup({file.path()});
  setup.roi = true;
  const SessionResult r = replayed(setup, {"native", "shadow"});
  EXPECT_EQ(r.references, (std::array<uint64_t, 3>{7, 5, 0}));
  for (const ReplayResult& m : r.machines) {
    EXPECT_EQ(m.guest[GuestStat::kSyscalls], 1u);
    EXPECT_EQ(m.guest[GuestStat::kFaultsAnonymous], 12u);
  }
  setup.limit = 9;
  EXPECT_EQ(replayed(setup, {"native"}).references, (std::array<uint64_t, 3>{7, 2, 0}));
  setup.limit = 3;
  EXPECT_EQ(replayed(setup, {"native"}).references, (std::array<uint64_t, 3>{3, 0, 0}));
  // A region that began in what is left out, or not counted yet, goes on afterwards.
  setup.limit = 0;
  setup.skip = 52;
  EXPECT_EQ(replayed(setup, {"native"}).references, (std::array<uint64_t, 3>{5, 5, 0}));
  setup.skip = 0;
  setup.warmup = 52;
  EXPECT_EQ(replayed(setup, {"native"}).references, (std::array<uint64_t, 3>{5, 5, 0}));
  setup.warmup = 60;
  EXPECT_EQ(replayed(setup, {"native"}).references, (std::array<uint64_t, 3>{0, 5, 0}));
}

/// Each stream is measured in its own regions, whoever had the turn before.
TEST(Regions, AreOfTheirStreamAlone) {
  Script marked, plain;
  marked.load(0x10000000).mark(1).loads(0x20000000, 40 * kPage).mark(2);
  marked.loads(0x30000000, 9 * kPage);
  plain.stores(0x40000000, 100 * kPage);
  const TemporaryFile a(marked), b(plain);
  for (const uint64_t slice : {1, 3, 10, 1000}) {
    SCOPED_TRACE(slice);
    ReplaySetup setup = small_setup({a.path(), b.path()});
    setup.roi = true;
    setup.slice = slice;
    const SessionResult r = replayed(setup, {"native", "shadow"});
    EXPECT_EQ(r.references, (std::array<uint64_t, 3>{40, 0, 0}));
    for (const ReplayResult& m : r.machines) {
      EXPECT_EQ(m.guest[GuestStat::kFaultsAnonymous], 40u);
    }
    setup.traces = {b.path(), a.path(), a.path()};
    EXPECT_EQ(replayed(setup, {"native"}).references, (std::array<uint64_t, 3>{80, 0, 0}));
  }
}

std::string message(const ReplaySetup& setup) {
  const auto r = replay(setup, {"native"});
  EXPECT_EQ(r.status().code(), absl::StatusCode::kInvalidArgument) << r.status();
  return std::string(r.status().message());
}

TEST(Windows, SayWhenNothingIsLeft) {
  const TemporaryFile file(calls_and_loads(10)), none(Script().syscall(1));
  ReplaySetup setup = small_setup({file.path()});
  setup.skip = 10;
  EXPECT_EQ(message(setup), file.path() + ": nothing left to count after --skip and --warmup");
  setup.skip = 3;
  setup.warmup = 7;
  EXPECT_EQ(message(setup), file.path() + ": nothing left to count after --skip and --warmup");
  setup.skip = ~uint64_t{0};
  setup.warmup = ~uint64_t{0};
  EXPECT_EQ(message(setup), file.path() + ": nothing left to count after --skip and --warmup");
  setup = small_setup({file.path()});
  setup.roi = true;
  EXPECT_EQ(message(setup), file.path() + ": no region of interest is marked");
  setup.skip = 1;  // there may be one before
  EXPECT_EQ(message(setup),
            file.path() + ": no region of interest is marked after --skip and --warmup");
  setup.traces.push_back(none.path());
  setup.roi = false;
  setup.skip = 10;
  EXPECT_EQ(message(setup), none.path() + ": no memory operations in it");
}

void expect_series_adds_up(const ReplaySetup& setup, uint64_t references) {
  const SessionResult result = replayed(setup, {"native", "shadow", "nested"});
  EXPECT_EQ(sum(result.references), references);
  for (const ReplayResult& m : result.machines) {
    SCOPED_TRACE(m.spec);
    Series::Point all{};
    for (const Series::Point& p : m.series.points()) {
      for (size_t i = 0; i < p.size(); ++i) all[i] += p[i];
    }
    EXPECT_EQ(all[0], static_cast<double>(m.counters[Counter::kTlbMisses]));
    EXPECT_EQ(all[1], static_cast<double>(m.counters.walk_references()));
    EXPECT_EQ(all[2], static_cast<double>(m.counters.exits()));
    EXPECT_EQ(all[3], static_cast<double>(m.counters[Counter::kGuestFaults]));
    EXPECT_EQ(all[4], static_cast<double>(m.counters[Counter::kTableWrites]));
    EXPECT_NEAR(all[5], m.cost.total, 1e-9 * m.cost.total);
    EXPECT_LT(m.series.points().size(), 2 * setup.series_points);
    const uint64_t full = references / m.series.interval();
    EXPECT_GE(m.series.points().size(), full);
    EXPECT_LE(m.series.points().size(), full + 2);
  }
}

TEST(SeriesOverTime, AddsUpToTheTotals) {
  for (const uint64_t refs : {100, 4096, 8192, 30'000}) {
    for (const size_t points : {1, 3, 200}) {
      SCOPED_TRACE(absl::StrCat(refs, " references, ", points, " points"));
      ReplaySetup setup = small_setup({absl::StrCat("gen:churn,bytes=512K,passes=20,refs=", refs)});
      setup.series_points = points;
      expect_series_adds_up(setup, refs);
      if (refs > 60) {
        setup.warmup = 60;
        expect_series_adds_up(setup, refs - 60);
      }
    }
  }
}

TEST(SeriesOverTime, HoldsWhatHappensAfterTheLastReference) {
  Script s;
  s.stores(0x10000000, 4096 * kPage);
  for (int i = 0; i < 5000; ++i) s.syscall(1);
  s.exit();
  const TemporaryFile file(s);
  expect_series_adds_up(small_setup({file.path()}), 4096);
}

TEST(SeriesOverTime, DoublesItsInterval) {
  Series series(4, 10);
  EXPECT_EQ(series.until_next(0), 10u);
  EXPECT_EQ(series.until_next(13), 7u);
  for (int i = 1; i <= 1000; ++i) {
    Series::Point p{};
    p.fill(1);
    series.add(p);
    EXPECT_LT(series.points().size(), 8u);
    if (i >= 8) EXPECT_GE(series.points().size(), 4u);
    const double all = std::accumulate(series.points().begin(), series.points().end(), 0.0,
                                       [](double n, const Series::Point& q) { return n + q[3]; });
    EXPECT_EQ(all, i);
    if (i == 7) EXPECT_EQ(series.interval(), 10u);
    if (i == 8) EXPECT_EQ(series.interval(), 20u);
  }
  Series none(0);
  none.add({});
  EXPECT_EQ(none.points().size(), 1u);
}

}  // namespace
}  // namespace gnomon::replay_test

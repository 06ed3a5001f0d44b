// SPDX-License-Identifier: Apache-2.0
//
// The timeline says what the breakdown says, slice by slice.
#include <algorithm>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "tests/replay/programs.h"
#include "tests/replay/support.h"

namespace gnomon::replay_test {
namespace {

struct Timed {
  ReplayResult result;
  Timeline timeline;
};

Timed timed(ReplaySetup setup, const std::string& backend, size_t limit = 10'000'000) {
  Timed t;
  t.timeline.limit = limit;
  setup.machine.timeline = &t.timeline;
  setup.machine.timeline_prices = &setup.cost;
  t.result = replayed(setup, {backend}).machines[0];
  return t;
}

void expect_in_order(const Timeline& timeline) {
  std::map<std::pair<uint16_t, TimelineTrack>, double> ends;
  for (const TimelineSlice& s : timeline.slices) {
    double& end = ends[{s.vcpu, s.track}];
    ASSERT_GE(s.start, end - 1e-6 * (1 + end))
        << s.name << " begins before the slice before it ends";
    ASSERT_GT(s.cycles, 0) << s.name;
    end = s.start + s.cycles;
  }
  std::map<uint16_t, double> at;
  for (const TimelineValue& v : timeline.values) {
    EXPECT_GE(v.at, at[v.vcpu]) << v.name;
    at[v.vcpu] = v.at;
  }
}

double of(const CostBreakdown& cost, std::initializer_list<CostGroup> groups) {
  double sum = 0;
  for (const CostGroup g : groups) sum += cost.groups[static_cast<size_t>(g)];
  return sum;
}

void expect_sums(const Timed& t) {
  ASSERT_EQ(t.timeline.dropped, 0u);
  std::map<TimelineTrack, double> sums;
  for (const TimelineSlice& s : t.timeline.slices) sums[s.track] += s.cycles;
  const CostBreakdown& cost = t.result.cost;
  const auto near = [](double got, double want, const char* what) {
    EXPECT_NEAR(got, want, 1e-9 * want + 1e-6) << what;
  };
  near(sums[TimelineTrack::kGuest], of(cost, {CostGroup::kGuestKernel}), "guest");
  near(sums[TimelineTrack::kMmu],
       of(cost, {CostGroup::kGuestWalk, CostGroup::kHostWalk, CostGroup::kShadowWalk}), "mmu");
  near(sums[TimelineTrack::kVmm], of(cost, {CostGroup::kExits, CostGroup::kVmmWork}), "vmm");
  std::map<std::string, double> by_name;
  for (const TimelineSlice& s : t.timeline.slices) by_name[std::string(s.name)] += s.cycles;
  for (const CostItem& item : cost.items) {
    const auto found = by_name.find(item.name);
    if (found != by_name.end()) near(found->second, item.cycles, item.name.c_str());
  }
}

TEST(TimelineOfAReplay, AddsUpToTheBreakdown) {
  const std::vector<NamedScript> all = programs();
  for (const size_t number : {0, 3, 5}) {
    const TemporaryFile file(all[number].script);
    for (const std::string& backend : all_backends()) {
      for (const unsigned vcpus : {1u, 3u}) {
        SCOPED_TRACE(absl::StrCat(all[number].name, " under ", backend, " on ", vcpus));
        ReplaySetup setup = small_setup({file.path()});
        setup.machine.vcpus = vcpus;
        setup.machine.caches = vcpus == 1 ? "none" : "zen4";
        setup.machine.guest.kernel_entries = number != 3;
        setup.machine.tick = 50;
        const Timed t = timed(setup, backend);
        EXPECT_FALSE(t.timeline.slices.empty());
        expect_in_order(t.timeline);
        expect_sums(t);
        if (HasFailure()) return;
      }
    }
  }
}

TEST(TimelineOfAReplay, LeavesOutWhatIsNotCounted) {
  Script s;
  s.stores(0x10000000, 50 * kPage)
      .mark(1)
      .stores(0x20000000, 7 * kPage)
      .mark(2)
      .stores(0x30000000, 20 * kPage);
  s.mark(1).stores(0x40000000, 5 * kPage).mark(2).store(0x50000000);
  const TemporaryFile file(s);
  ReplaySetup setup = small_setup({file.path()});
  setup.roi = true;
  for (const std::string& backend : all_backends()) {
    SCOPED_TRACE(backend);
    const Timed t = timed(setup, backend);
    expect_in_order(t.timeline);
    expect_sums(t);
    for (const TimelineSlice& slice : t.timeline.slices) {
      EXPECT_NE(slice.address >> 28, 3u);
      EXPECT_NE(slice.address >> 28, 5u);
    }
  }
}

TEST(TimelineOfAReplay, KeepsTheFirstSlicesUpToItsLimit) {
  const ReplaySetup setup = small_setup({"gen:uniform,bytes=16M,refs=2000"});
  const Timed all = timed(setup, "shadow");
  for (const size_t limit : {size_t{0}, size_t{1}, size_t{100}, all.timeline.slices.size()}) {
    const Timed some = timed(setup, "shadow", limit);
    ASSERT_EQ(some.timeline.slices.size(), limit);
    EXPECT_EQ(some.timeline.dropped, all.timeline.slices.size() - limit);
    EXPECT_LE(some.timeline.values.size(), all.timeline.values.size());
    for (size_t i = 0; i < limit; ++i)
      EXPECT_EQ(some.timeline.slices[i].start, all.timeline.slices[i].start);
  }
}

}  // namespace
}  // namespace gnomon::replay_test

// SPDX-License-Identifier: Apache-2.0
#include "traces/replay/timeline_probe.h"

#include <string>

namespace gnomon {
namespace {

// By CostGroup: where a slice of it is shown; the program itself is the time between slices.
struct Shown {
  bool slice;
  TimelineTrack track;
};
constexpr Shown kShown[kCostGroupCount] = {
    {false, TimelineTrack::kGuest},  // program
    {false, TimelineTrack::kMmu},    // second-level TLB hits: too short to see
    {true, TimelineTrack::kMmu},     // guest walk
    {true, TimelineTrack::kMmu},     // host walk
    {true, TimelineTrack::kMmu},     // shadow walk
    {true, TimelineTrack::kGuest},   // guest kernel
    {true, TimelineTrack::kVmm},     // exits
    {true, TimelineTrack::kVmm},     // what the VMM does
};

/// The counter's or group's own name, which lives as long as the program.
absl::string_view lasting_name(const CostItem& item) {
  for (const CounterInfo& row : counter_table()) {
    if (row.name == item.name) return row.name;
  }
  return cost_group_table()[static_cast<size_t>(item.group)].name;
}

using Levels = std::array<uint64_t, kCacheHitCount>;

template <class Step>
void for_each(CacheStats& a, const CacheStats& b, Step step) {
  for (Levels CacheStats::*row : {&CacheStats::guest, &CacheStats::host, &CacheStats::shadow,
                                  &CacheStats::data}) {
    for (size_t i = 0; i < kCacheHitCount; ++i) step((a.*row)[i], (b.*row)[i]);
  }
}

}  // namespace

Counters difference(const Counters& now, const Counters& before) {
  Counters d = now;
  for (const CounterInfo& row : counter_table()) {
    if (row.kind == CounterKind::kSum) d[row.id] -= before[row.id];
  }
  return d;
}

CacheStats difference(const CacheStats& now, const CacheStats& before) {
  CacheStats d = now;
  for_each(d, before, [](uint64_t& a, uint64_t b) { a -= b; });
  return d;
}

void add(CacheStats& sum, const CacheStats& part) {
  for_each(sum, part, [](uint64_t& a, uint64_t b) { a += b; });
}

void TimelineProbe::start(const Counters& now, const CacheStats* caches) {
  before_ = now;
  if (caches != nullptr) caches_before_ = *caches;
}

void TimelineProbe::step(const Counters& now, const CacheStats* caches, uint64_t address) {
  const Counters added = difference(now, before_);
  CacheStats caches_added;
  if (caches != nullptr) {
    caches_added = difference(*caches, caches_before_);
    caches_before_ = *caches;
  }
  before_ = now;
  const CostBreakdown cost = price(prices_, added, caches != nullptr ? &caches_added : nullptr);
  for (const CostItem& item : cost.items) {
    const Shown shown = kShown[static_cast<size_t>(item.group)];
    if (shown.slice) {
      TimelineSlice slice;
      slice.name = lasting_name(item);
      slice.track = shown.track;
      slice.vcpu = vcpu_;
      slice.start = at_;
      slice.cycles = item.cycles;
      slice.reference = now[Counter::kAccesses];
      slice.address = address;
      timeline_.add(slice);
    }
    at_ += item.cycles;
  }
  if (added[Counter::kTableBytes] != 0 && timeline_.dropped == 0) {
    const uint64_t bytes = now[Counter::kTableBytes];
    if (timeline_.values.empty() || timeline_.values.back().value != bytes) {
      timeline_.values.push_back({info(Counter::kTableBytes).name, vcpu_, at_, bytes});
    }
  }
}

}  // namespace gnomon

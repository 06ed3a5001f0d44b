// SPDX-License-Identifier: Apache-2.0
// The hidden fault: the guest's tables allow the access, and only the shadow's leaf entry is missing.
#include "bench/machine.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::bench {
namespace {

constexpr uint64_t kTablesFilled = 8;
constexpr uint64_t kPages = kTablesFilled * kPagesPerTable;

// One iteration is one page of the guest that becomes accessible: with prefetching most of them come
// with a neighbour's fault.
void ShadowFill(benchmark::State& state, const char* spec, Access how) {
  Machine<shadow::ShadowMmu> m(spec, kPages);
  m.map(kPages);
  uint64_t fills = 0;
  while (state.KeepRunningBatch(kPages - kTablesFilled)) {
    m.mmu().drop_caches();
    for (uint64_t t = 0; t < kTablesFilled; ++t) m.touch(t * kPagesPerTable);
    const uint64_t before = m.cpu().counters[Counter::kShadowFills];
    state.SetIterationTime(seconds([&] {
      for (uint64_t i = 0; i < kPages; ++i) {
        if (i % kPagesPerTable != 0) benchmark::DoNotOptimize(m.access(m.va(i), how));
      }
    }));
    fills = m.cpu().counters[Counter::kShadowFills] - before;
  }
  state.counters["fills_per_page"] =
      static_cast<double>(fills) / static_cast<double>(kPages - kTablesFilled);
  m.report_bytes(state, kPages);
}
BENCHMARK_CAPTURE(ShadowFill, read_prefetch0, "shadow:prefetch=0", kRead)->UseManualTime();
BENCHMARK_CAPTURE(ShadowFill, write_prefetch0, "shadow:prefetch=0", kWrite)->UseManualTime();
BENCHMARK_CAPTURE(ShadowFill, read_prefetch8, "shadow:prefetch=8", kRead)->UseManualTime();

// The smallest budget (16 shadow pages for one vCPU), and a guest that goes round 64 leaf tables:
// each fault recycles a page, and builds one in its place.
void Reclaim(benchmark::State& state) {
  constexpr uint64_t kTablesUsed = 64;
  Machine<shadow::ShadowMmu> m("shadow:prefetch=0,budget=0", kTablesUsed * kPagesPerTable);
  m.map(kTablesUsed * kPagesPerTable);
  for (uint64_t t = 0; t < kTablesUsed; ++t) m.touch(t * kPagesPerTable);
  uint64_t t = 0;
  const uint64_t before = m.mmu().counters()[Counter::kShadowPagesRecycled];
  for (auto _ : state) {
    benchmark::DoNotOptimize(m.access(m.va(t * kPagesPerTable)));
    t = (t + 1) % kTablesUsed;
  }
  state.counters["recycled_per_fault"] = benchmark::Counter(
      static_cast<double>(m.mmu().counters()[Counter::kShadowPagesRecycled] - before),
      benchmark::Counter::kAvgIterations);
}
BENCHMARK(Reclaim);

}  // namespace
}  // namespace gnomon::bench

// SPDX-License-Identifier: Apache-2.0
// The shadow pager that keeps nothing across a CR3 load.
#include "bench/machine.h"
#include "mmu/vtlb/vtlb.h"

namespace gnomon::bench {
namespace {

constexpr uint64_t kPages = 8 * kPagesPerTable;

// A miss that finds no entry; one iteration is one page. One page in 512 needs a new table besides.
void VtlbFill(benchmark::State& state) {
  Machine<VtlbMmu> m("vtlb", kPages);
  m.map(kPages);
  while (state.KeepRunningBatch(kPages)) {
    m.mmu().cr3_loaded(m.cpu(), true);
    state.SetIterationTime(seconds([&] {
      for (uint64_t i = 0; i < kPages; ++i) benchmark::DoNotOptimize(m.access(m.va(i)));
    }));
  }
  m.report_bytes(state, kPages);
}
BENCHMARK(VtlbFill)->UseManualTime();

// A CR3 load that throws away the entries of `pages` pages; one iteration is one load.
void VtlbFlush(benchmark::State& state) {
  const auto pages = static_cast<uint64_t>(state.range(0));
  Machine<VtlbMmu> m("vtlb", kPages);
  m.map(pages);
  for (auto _ : state) {
    m.touch_all(0, pages);
    state.SetIterationTime(seconds([&] { m.mmu().cr3_loaded(m.cpu(), true); }));
  }
}
BENCHMARK(VtlbFlush)->ArgName("pages")->Arg(64)->Arg(4096)->Iterations(500)->UseManualTime();

}  // namespace
}  // namespace gnomon::bench

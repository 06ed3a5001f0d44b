// SPDX-License-Identifier: Apache-2.0
// MOV to CR3 under shadow paging, in a guest with `spaces` address spaces of 512 pages each.
#include "bench/machine.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::bench {
namespace {

class Spaces {
 public:
  explicit Spaces(uint64_t spaces) : m("shadow", kPagesPerTable) {
    for (uint64_t s = 0; s < spaces; ++s) {
      roots.push_back(s == 0 ? m.root() : m.new_table());
      m.map(roots.back(), 0, kPagesPerTable);
      m.load_cr3(roots.back());
      m.touch_all(0, kPagesPerTable);
    }
  }
  /// Loads the first `turns` roots in turn.
  void run(benchmark::State& state, uint64_t turns) {
    for (uint64_t s = 0; s < turns; ++s) m.load_cr3(roots[s]);
    const uint64_t before = m.cpu().counters[Counter::kRootCacheHits];
    uint64_t s = 0;
    for (auto _ : state) {
      m.load_cr3(roots[s]);
      s = s + 1 == turns ? 0 : s + 1;
    }
    state.counters["root_hits"] = benchmark::Counter(
        static_cast<double>(m.cpu().counters[Counter::kRootCacheHits] - before),
        benchmark::Counter::kAvgIterations);
    m.report_bytes(state, kPagesPerTable * roots.size());
  }

 private:
  Machine<shadow::ShadowMmu> m;
  std::vector<Gpa> roots;
};

// The vCPU remembers the root: four address spaces at most (roots=3 besides the current one).
void Cr3Cached(benchmark::State& state) {
  Spaces spaces(static_cast<uint64_t>(state.range(0)));
  spaces.run(state, std::min<uint64_t>(4, static_cast<uint64_t>(state.range(0))));
}
BENCHMARK(Cr3Cached)->ArgName("spaces")->Arg(1)->Arg(4)->Arg(64);

// It does not, but the shadow of the root table is still there.
void Cr3Uncached(benchmark::State& state) {
  Spaces spaces(static_cast<uint64_t>(state.range(0)));
  spaces.run(state, static_cast<uint64_t>(state.range(0)));
}
BENCHMARK(Cr3Uncached)->ArgName("spaces")->Arg(8)->Arg(64);

}  // namespace
}  // namespace gnomon::bench

// SPDX-License-Identifier: Apache-2.0
// A processor without virtualization walks tables that are in its first-level cache.
#include "bench/machine.h"
#include "mmu/native/native.h"

namespace gnomon::bench {
namespace {

void NativeWalk(benchmark::State& state, PagingMode mode) {
  Machine<NativeMmu> m("native", 1024, mode);
  m.map(64);
  run_hot(state, m, 64);
}
BENCHMARK_CAPTURE(NativeWalk, 32bit, PagingMode::kLegacy32);
BENCHMARK_CAPTURE(NativeWalk, pae, PagingMode::kPae);
BENCHMARK_CAPTURE(NativeWalk, 4level, PagingMode::kLevel4);
BENCHMARK_CAPTURE(NativeWalk, 5level, PagingMode::kLevel5);

// How long the same chain of loads takes with nothing around it: entry, frame, next entry.
void BareLoads(benchmark::State& state) {
  const auto loads = static_cast<unsigned>(state.range(0));
  constexpr unsigned kTablesInChain = 8;
  std::vector<uint64_t> memory(kTablesInChain * 512);
  for (unsigned t = 0; t < kTablesInChain; ++t) {
    memory[t * 512 + 40 * t] = uint64_t{(t + 1) % kTablesInChain} << 12 | kUsed;
  }
  const char* const base = reinterpret_cast<const char*>(memory.data());
  uint64_t frame = 0;
  for (auto _ : state) {
    for (unsigned i = 0; i < loads; ++i) {
      const uint64_t index = i % kTablesInChain * 40;  // known ahead, as the bits of an address are
      frame = *reinterpret_cast<const uint64_t*>(base + frame + index * 8) & pte::kFrameMask;
    }
    benchmark::DoNotOptimize(frame);
  }
}
BENCHMARK(BareLoads)->Arg(4)->Arg(24);

}  // namespace
}  // namespace gnomon::bench

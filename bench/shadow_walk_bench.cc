// SPDX-License-Identifier: Apache-2.0
// A TLB miss that the shadow tables answer: no exit.
#include "bench/machine.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::bench {
namespace {

void ShadowWalk(benchmark::State& state, PagingMode mode) {
  Machine<shadow::ShadowMmu> m("shadow", 1024, mode);
  m.map(64);
  run_hot(state, m, 64);
}
BENCHMARK_CAPTURE(ShadowWalk, 32bit, PagingMode::kLegacy32);
BENCHMARK_CAPTURE(ShadowWalk, pae, PagingMode::kPae);
BENCHMARK_CAPTURE(ShadowWalk, 4level, PagingMode::kLevel4);
BENCHMARK_CAPTURE(ShadowWalk, 5level, PagingMode::kLevel5);

}  // namespace
}  // namespace gnomon::bench

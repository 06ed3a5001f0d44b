// SPDX-License-Identifier: Apache-2.0
// The two-dimensional walk: 24 references for a 4-level guest on 4-level host tables of 4K pages.
#include "bench/machine.h"
#include "mmu/nested/nested.h"

namespace gnomon::bench {
namespace {

template <class Flavour>
void run(benchmark::State& state, const char* spec) {
  Machine<NestedMmu<Flavour>> m(spec, 1024);
  m.map(64);
  run_hot(state, m, 64);
}
void NestedWalkEpt(benchmark::State& state) { run<Ept<4, false>>(state, "nested:ad=off"); }
void NestedWalkEptAd(benchmark::State& state) { run<Ept<4, true>>(state, "nested:ad=on"); }
void NestedWalkNpt(benchmark::State& state) { run<Npt<4>>(state, "npt"); }
BENCHMARK(NestedWalkEpt);
BENCHMARK(NestedWalkEptAd);
BENCHMARK(NestedWalkNpt);

}  // namespace
}  // namespace gnomon::bench

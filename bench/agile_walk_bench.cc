// SPDX-License-Identifier: Apache-2.0
// Agile paging: a walk whose lower levels are nested, because the guest keeps writing those tables.
#include "bench/machine.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::bench {
namespace {

void AgileWalk(benchmark::State& state) {
  const auto nested_levels = static_cast<unsigned>(state.range(0));
  Machine<shadow::ShadowMmu> m("agile:interval=1000000000", 1024);
  m.map(64);
  m.touch_all(0, 64);
  if (nested_levels != 0) {
    // Written twice, a table is walked in nested mode, with all below it.
    const Gpa at(m.entry_at(m.root(), m.va(0), nested_levels).value() ^ 8);
    for (int i = 0; i < 2; ++i) {
      require(m.mmu().write_physical(m.cpu(), at, load_bytes(m.p2m().ram_at(at), 8), 8) ==
              StoreResult::kDone);
    }
  }
  run_hot(state, m, 64);
}
BENCHMARK(AgileWalk)->ArgName("nested")->DenseRange(0, 2);

}  // namespace
}  // namespace gnomon::bench

// SPDX-License-Identifier: Apache-2.0
// The guest stores into its tables.
#include "bench/machine.h"
#include "mmu/direct/direct.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::bench {
namespace {

// A trapped store into a leaf table in sync that maps another frame; the shadow entry follows at once.
void TableWriteTrap(benchmark::State& state) {
  Machine<shadow::ShadowMmu> m("shadow:unsync=off,flood=0", 1024);
  m.map(64);
  m.touch_all(0, 64);
  const Gpa first = m.entry_at(m.root(), m.va(0));
  uint64_t i = 0;
  for (auto _ : state) {
    const Gpa at(first.value() + i % 64 * 8);
    benchmark::DoNotOptimize(
        m.mmu().write_physical(m.cpu(), at, m.data(i % 1024).value() | kUsed, 8));
    i += 65;
  }
  require(m.mmu().counters()[Counter::kUnsync] == 0);
}
BENCHMARK(TableWriteTrap);

// The same store when the table is out of sync: none of our business. (A guest that stores through
// its own mapping pays nothing at all then; this is what the driver's call costs.)
void TableWriteUnsync(benchmark::State& state) {
  Machine<shadow::ShadowMmu> m("shadow", 1024);
  m.map(64);
  m.touch_all(0, 64);
  const Gpa first = m.entry_at(m.root(), m.va(0));
  uint64_t i = 0;
  for (auto _ : state) {
    const Gpa at(first.value() + i % 64 * 8);
    benchmark::DoNotOptimize(
        m.mmu().write_physical(m.cpu(), at, m.data(i % 1024).value() | kUsed, 8));
    i += 65;
  }
}
BENCHMARK(TableWriteUnsync);

// A validated update in place, by hypercalls that carry `batch` of them.
void DirectUpdate(benchmark::State& state) {
  Machine<DirectMmu> m("direct:batch=" + std::to_string(state.range(0)), 1024);
  const Gpa space = m.new_table();  // made before it is loaded: from then on each store is an update
  m.map(space, 0, 64);
  const Gpa first = m.entry_at(space, m.va(0));
  m.load_cr3(space);
  m.touch_all(0, 64);
  uint64_t i = 0;
  for (auto _ : state) {
    const Gpa at(first.value() + i % 64 * 8);
    const StoreResult r = m.mmu().write_physical(m.cpu(), at, m.data(i % 1024).value() | kUsed, 8);
    if (r != StoreResult::kDone) state.SkipWithError("refused");
    i += 65;
  }
}
BENCHMARK(DirectUpdate)->ArgName("batch")->Arg(1)->Arg(32);

}  // namespace
}  // namespace gnomon::bench

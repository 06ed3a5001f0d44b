// SPDX-License-Identifier: Apache-2.0
// Leaf tables that go out of sync, and come back at a flush.
#include "bench/machine.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::bench {
namespace {

constexpr uint64_t kTablesUsed = 64;
constexpr uint64_t kPages = kTablesUsed * kPagesPerTable;

using ShadowMachine = Machine<shadow::ShadowMmu>;

struct Tables {
  Tables() : m("shadow", kPages) {
    m.map(kPages);
    m.touch_all(0, kPages);
    for (uint64_t t = 0; t < kTablesUsed; ++t) {
      leaf_tables.push_back(m.entry_at(m.root(), m.va(t * kPagesPerTable)));
    }
  }
  void unsync_all() {
    for (uint64_t t = 0; t < kTablesUsed; ++t) {
      m.mmu().write_physical(m.cpu(), leaf_tables[t], m.data(t * kPagesPerTable).value() | kUsed, 8);
    }
  }
  ShadowMachine m;
  std::vector<Gpa> leaf_tables;
};

// The first trapped store to a leaf table in sync. One iteration is one table.
void Unsync(benchmark::State& state) {
  Tables tables;
  const uint64_t before = tables.m.mmu().counters()[Counter::kUnsync];
  while (state.KeepRunningBatch(kTablesUsed)) {
    state.SetIterationTime(seconds([&] { tables.unsync_all(); }));
    tables.m.load_cr3(tables.m.root());
  }
  state.counters["unsynced"] = benchmark::Counter(
      static_cast<double>(tables.m.mmu().counters()[Counter::kUnsync] - before),
      benchmark::Counter::kAvgIterations);
}
BENCHMARK(Unsync)->Iterations(kTablesUsed * 256)->UseManualTime();

// A flush that finds tables out of sync, each with `changed` of its 512 entries changed. One
// iteration is one table.
void Resync(benchmark::State& state) {
  Tables tables;
  const auto changed = static_cast<uint64_t>(state.range(0));
  const uint64_t before = tables.m.mmu().counters()[Counter::kSyncedPages];
  uint64_t turn = 0;
  while (state.KeepRunningBatch(kTablesUsed)) {
    tables.unsync_all();
    ++turn;
    for (uint64_t t = 0; t < kTablesUsed; ++t) {
      for (uint64_t i = 1; i <= changed; ++i) {
        // Neighbours swap their frames.
        const uint64_t page = t * kPagesPerTable + (i & 511);
        tables.m.poke(Gpa(tables.leaf_tables[t].value() + (i & 511) * 8),
                      tables.m.data(turn % 2 == 0 ? page : page ^ 1).value() | kUsed);
      }
    }
    state.SetIterationTime(seconds([&] { tables.m.load_cr3(tables.m.root()); }));
  }
  state.counters["synced"] = benchmark::Counter(
      static_cast<double>(tables.m.mmu().counters()[Counter::kSyncedPages] - before),
      benchmark::Counter::kAvgIterations);
}
BENCHMARK(Resync)->ArgName("changed")->Arg(1)->Arg(16)->Arg(511)->UseManualTime();

void InvlpgInSync(benchmark::State& state) {
  ShadowMachine m("shadow", 1024);
  m.map(64);
  m.touch_all(0, 64);
  uint64_t page = 0;
  for (auto _ : state) m.mmu().invlpg(m.cpu(), m.va(page++ % 64));
}
BENCHMARK(InvlpgInSync);

// The guest changes an entry of a table that is out of sync, and flushes its page.
void InvlpgChanged(benchmark::State& state) {
  ShadowMachine m("shadow", 1024);
  m.map(64);
  m.touch_all(0, 64);
  const Gpa first = m.entry_at(m.root(), m.va(0));
  m.mmu().write_physical(m.cpu(), first, m.data(0).value() | kUsed, 8);
  uint64_t i = 0;
  for (auto _ : state) {
    m.poke(Gpa(first.value() + i % 64 * 8), m.data(i % 1024).value() | kUsed);
    m.mmu().invlpg(m.cpu(), m.va(i % 64));
    i += 65;
  }
}
BENCHMARK(InvlpgChanged);

}  // namespace
}  // namespace gnomon::bench

// SPDX-License-Identifier: Apache-2.0
// Does anything grow faster than the guest? 64K to 4M pages of 4K (16 GiB), 64K to an address space. No
// data is touched, only tables: the host memory behind the data is never committed.
#include "bench/machine.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::bench {
namespace {

constexpr uint64_t kPerSpace = uint64_t{64} << 10;

class LargeGuest {
 public:
  explicit LargeGuest(uint64_t guest_pages)
      : pages(guest_pages), m("shadow:unsync=off,prefetch=0,roots=0", guest_pages) {
    for (uint64_t s = 0; s < pages / kPerSpace; ++s) {
      roots.push_back(s == 0 ? m.root() : m.new_table());
      m.map(roots[s], s * kPerSpace, kPerSpace);
    }
  }
  // Calls f(first page of the space) in each space, with only f's time taken.
  template <class F>
  double in_each_space(F&& f) {
    double time = 0;
    for (uint64_t s = 0; s < roots.size(); ++s) {
      m.load_cr3(roots[s]);
      time += seconds([&] { f(s * kPerSpace); });
    }
    return time;
  }
  double fill() {
    return in_each_space([&](uint64_t first) { m.touch_all(first, kPerSpace); });
  }

  const uint64_t pages;
  Machine<shadow::ShadowMmu> m;
  std::vector<Gpa> roots;
};

// Every page of the guest touched for the first time, from no shadow at all.
void ScaleFill(benchmark::State& state) {
  LargeGuest guest(static_cast<uint64_t>(state.range(0)) << 10);
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(guest.pages))) {
    guest.m.mmu().drop_caches();
    state.SetIterationTime(guest.fill());
  }
  guest.m.report_bytes(state, guest.pages);
}

// Random walks that hit: as many in each address space as it has pages, divided by eight.
void ScaleWalk(benchmark::State& state) {
  LargeGuest guest(static_cast<uint64_t>(state.range(0)) << 10);
  guest.fill();
  Random random;
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(guest.pages / 8))) {
    state.SetIterationTime(guest.in_each_space([&](uint64_t first) {
      for (uint64_t i = 0; i < kPerSpace / 8; ++i) {
        benchmark::DoNotOptimize(guest.m.access(guest.m.va(first + random.below(kPerSpace))));
      }
    }));
  }
}

// The guest clears every leaf entry, in order; each store traps.
void ScaleUnmap(benchmark::State& state) {
  LargeGuest guest(static_cast<uint64_t>(state.range(0)) << 10);
  std::vector<Gpa> tables;
  for (uint64_t page = 0; page < guest.pages; page += kPagesPerTable) {
    tables.push_back(guest.m.entry_at(guest.roots[page / kPerSpace], guest.m.va(page)));
  }
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(guest.pages))) {
    for (uint64_t page = 0; page < guest.pages; ++page) {
      const Gpa at(tables[page / kPagesPerTable].value() + page % kPagesPerTable * 8);
      guest.m.poke(at, guest.m.data(page).value() | kUsed);
    }
    guest.fill();
    state.SetIterationTime(seconds([&] {
      for (const Gpa table : tables) {
        for (uint64_t i = 0; i < kPagesPerTable; ++i) {
          guest.m.mmu().write_physical(guest.m.cpu(), Gpa(table.value() + i * 8), 0, 8);
        }
      }
    }));
  }
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgName("Kpages")->RangeMultiplier(4)->Range(64, 4096)->UseManualTime();
}
BENCHMARK(ScaleFill)->Apply(sizes);
BENCHMARK(ScaleWalk)->Apply(sizes);
BENCHMARK(ScaleUnmap)->Apply(sizes);

}  // namespace
}  // namespace gnomon::bench

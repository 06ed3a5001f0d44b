// SPDX-License-Identifier: Apache-2.0
#include "tests/replay/programs.h"

#include "tests/scenario/random.h"

namespace gnomon::replay_test {
namespace {

constexpr uint64_t kText = 0x400000;
constexpr uint64_t kHeap = 0x10000000;
constexpr uint64_t kArea = 0x7f0000000000;
constexpr uint64_t kStackEnd = 0x7ffffff00000;

Script start() {
  Script s;
  s.map(kText, 16 * kPage, kMapRead | kMapExec, 1)
      .map(kText + 16 * kPage, 4 * kPage, kRw, 1, 16 * kPage);
  s.map(kStackEnd - 2 * kPage, 2 * kPage, kRw | kMapStack);
  s.fetch(kText + 8).store(kStackEnd - 8).load(kText + 16 * kPage).store(kText + 17 * kPage);
  return s;
}

Script forks() {
  Script s = start();
  s.map(kArea, 64 * kPage, kRw).stores(kArea, 64 * kPage);
  for (uint32_t child = 1; child <= 3; ++child) {
    s.fork(child).run(child).loads(kArea, 64 * kPage).stores(kArea, 32 * kPage);
    s.run(0).stores(kArea, 48 * kPage).fetch(kText + 100);
    if (child == 2) s.run(2).fork(7).run(7).stores(kArea + 20 * kPage, 30 * kPage).exit();
  }
  s.run(1)
      .exec()
      .map(kText, 8 * kPage, kMapRead | kMapExec, 2)
      .fetch(kText)
      .map(kArea, 8 * kPage, kRw);
  s.stores(kArea, 8 * kPage).exit();
  s.run(3).loads(kArea, 64 * kPage).exit();
  s.run(2).exit().run(0).modify(kArea).loads(kArea, 64 * kPage).exit();
  return s;
}

Script mappings() {
  Script s = start();
  s.map(kArea, 100 * kPage, kRw).stores(kArea, 100 * kPage);
  s.protect(kArea + 10 * kPage, 20 * kPage, kMapRead).loads(kArea, 100 * kPage);
  s.protect(kArea + 10 * kPage, 20 * kPage, kRw).stores(kArea + 5 * kPage, 30 * kPage);
  s.protect(kArea + 40 * kPage, 5 * kPage, 0).protect(kArea + 40 * kPage, 5 * kPage, kRw);
  s.loads(kArea + 40 * kPage, 5 * kPage).unmap(kArea + 50 * kPage, 3 * kPage);
  s.map(kArea + 50 * kPage, 3 * kPage, kRw).loads(kArea + 48 * kPage, 8 * kPage);
  s.remap(kArea + 60 * kPage, 10 * kPage, kArea + (1 << 30), 20 * kPage);
  s.stores(kArea + (1 << 30), 20 * kPage).advise(kArea, 10 * kPage, 1).loads(kArea, 12 * kPage);
  s.grow_heap(kHeap)
      .grow_heap(kHeap + 40 * kPage)
      .stores(kHeap, 40 * kPage)
      .grow_heap(kHeap + 4 * kPage);
  s.loads(kHeap, 4 * kPage).stores(kStackEnd - 40 * kPage, 38 * kPage);
  // Accesses over the edge of a page, and what a mapping forbids.
  s.load(kArea + kPage - 4).store(kArea + 3 * kPage - 1, 2).modify(kArea + 5 * kPage - 3, 100);
  s.store(kText + 64).fetch(kArea + 8).load(kArea + 2 * kPage - 2048, 4096);
  return s.exit();
}

Script shares() {
  Script s = start();
  s.map(kArea, 32 * kPage, kRw | kMapShared, 9).stores(kArea, 16 * kPage).loads(kArea, 32 * kPage);
  s.map(kArea + kHuge, 32 * kPage, kRw | kMapShared).stores(kArea + kHuge, 8 * kPage);
  s.map(kArea + 2 * kHuge, 32 * kPage, kRw, 9).stores(kArea + 2 * kHuge, 4 * kPage);
  s.fork(1)
      .run(1)
      .stores(kArea, 32 * kPage)
      .stores(kArea + kHuge, 20 * kPage)
      .loads(kArea + 2 * kHuge, 32 * kPage);
  s.run(0)
      .loads(kArea, 32 * kPage)
      .loads(kArea + kHuge, 32 * kPage)
      .stores(kArea + 2 * kHuge, 32 * kPage);
  s.syscall(0).kernel_write(kArea + 100, 5 * kPage).syscall(1).kernel_read(kArea + kHuge - 8, 8);
  s.kernel_read(kArea + 2 * kHuge + 4090, 3 * kPage).run(1).kernel_write(kArea + kHuge + 4095, 2);
  return s.exit().run(0).exit();
}

Script threads() {
  Script s = start();
  s.map(kArea, 64 * kPage, kRw);
  scenario::Random random(7);
  for (uint32_t turn = 0; turn < 60; ++turn) {
    const auto thread = static_cast<uint32_t>(random.below(4));
    s.run(0, thread).stores(kArea + random.below(32) * kPage, random.below(32) * kPage);
    if (turn % 9 == 3)
      s.protect(kArea + random.below(60) * kPage, 4 * kPage, turn % 2 ? kMapRead : kRw);
    if (turn % 9 == 5) s.advise(kArea + random.below(30) * kPage, 34 * kPage, 1);
    if (turn == 30) s.fork(1).run(1, 0).stores(kArea, 20 * kPage).run(0, thread);
    if (turn == 45) s.unmap(kArea, 64 * kPage).map(kArea, 64 * kPage, kRw);
  }
  return s.run(1).exit().run(0, 2).exit();
}

Script huge() {
  Script s = start();
  s.map(kArea, 4 * kHuge, kRw | kMapHuge).stores(kArea, 4 * kHuge, 64 * kPage);
  s.unmap(kArea + kHuge + 5 * kPage, kPage).loads(kArea, 4 * kHuge, 100 * kPage);
  s.protect(kArea + 2 * kHuge, 8 * kPage, kMapRead).fork(1).run(1).stores(kArea, kHuge, 32 * kPage);
  s.run(0)
      .stores(kArea, kHuge, 50 * kPage)
      .remap(kArea + 3 * kHuge, kHuge, kArea + 16 * kHuge, kHuge);
  s.loads(kArea + 16 * kHuge, kHuge, 20 * kPage).advise(kArea, kHuge, 3).run(1).exit();
  return s.run(0).exit();
}

/// Anything at any time.
Script random_program(uint64_t seed) {
  scenario::Random random(seed);
  Script s = start();
  uint32_t processes = 1;
  const auto at = [&] { return kArea + random.below(96) * kPage; };
  for (int i = 0; i < 300; ++i) {
    const uint64_t pages = 1 + random.below(40);
    switch (random.below(14)) {
      case 0:
        s.map(at(), pages * kPage, kRw | (random.percent(20) ? kMapShared : 0u), random.below(3));
        break;
      case 1: s.unmap(at(), pages * kPage); break;
      case 2: s.protect(at(), pages * kPage, static_cast<MapFlags>(random.below(4))); break;
      case 3:
        if (processes < 6) s.fork(processes++);
        break;
      case 4:
        s.run(static_cast<uint32_t>(random.below(processes)),
              static_cast<uint32_t>(random.below(2)));
        break;
      case 5:
        s.syscall(random.below(300)).kernel_write(at() + random.below(4096), pages * 100);
        break;
      case 6: s.advise(at(), pages * kPage, 1); break;
      case 7: s.fetch(kText + random.below(16) * kPage); break;
      case 8: s.modify(at() + 4094, 8); break;
      case 9: {
        const uint64_t from = at();
        s.map(from, 8 * kPage, kRw).stores(from, 4 * kPage);
        s.remap(from, 8 * kPage, kArea + (2 << 20) + random.below(96) * kPage, 8 * kPage);
        break;
      }
      case 10:
        if (random.percent(10)) s.exec().fetch(kText);
        break;
      case 11: s.loads(at(), pages * kPage); break;
      default: s.stores(at(), pages * kPage); break;
    }
  }
  return s;
}

}  // namespace

std::vector<NamedScript> programs() {
  std::vector<NamedScript> all = {{"forks", forks()},
                                  {"mappings", mappings()},
                                  {"shares", shares()},
                                  {"threads", threads()},
                                  {"huge", huge()}};
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    all.push_back({"random" + std::to_string(seed), random_program(seed)});
  }
  return all;
}

}  // namespace gnomon::replay_test

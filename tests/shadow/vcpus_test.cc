// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"

// Several vCPUs share one cache of shadow pages, each under its own root and mode bits.

namespace gnomon::shadow_test {
namespace {

TEST(Vcpus, ShareThePagesThatOneOfThemFilled) {
  Machine m("shadow:prefetch=0", {.cpus = 3});
  for (uint64_t i = 0; i < 8; ++i) m.map(i << 12, 0x5000 + (i << 12), kUsed);
  for (uint64_t i = 0; i < 8; ++i) m.expect_mapped(i << 12, 0x5000 + (i << 12));
  for (const unsigned cpu : {1u, 2u}) {
    m.on(cpu);
    m.mark();
    m.flush();
    for (uint64_t i = 0; i < 8; ++i) m.expect_mapped(i << 12, 0x5000 + (i << 12), kWrite);
    EXPECT_EQ(m.since(Counter::kShadowPagesCreated), 0u);
    EXPECT_EQ(m.since(Counter::kHiddenFaults), 0u);
    EXPECT_EQ(m.mappings().size(), 8u);
  }
  EXPECT_EQ(m.pages_of(m.first_root()), 1u);
}

TEST(Vcpus, OtherModeBitsOtherPages) {
  Machine m("shadow:prefetch=0", {.cpus = 2});
  m.map(0x1000, 0x5000, kP | kA | kD);
  m.on(1);
  m.set_wp(false);
  m.expect_mapped(0x1000, 0x5000, kKernelWrite);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wsx"));
  m.on(0);
  m.expect_fault(0x1000, pf::kPresent | pf::kWrite, kKernelWrite);
  m.expect_mapped(0x1000, 0x5000, kKernelRead);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K -sx"));
  EXPECT_EQ(m.pages_of(m.table_at(0x1000, 1)), 2u);
  // One store reaches the shadow pages of both.
  m.map(0x1000, 0x6000, kP | kA | kD);
  for (const unsigned cpu : {0u, 1u}) {
    m.on(cpu);
    m.invlpg(0x1000);
    m.expect_mapped(0x1000, 0x6000, kKernelRead);
  }
}

// A table out of sync is so for all; a flush of any vCPU brings it back for all.
TEST(Vcpus, FlushOfOneSyncsForAll) {
  Machine m("shadow:prefetch=0", {.cpus = 2});
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  m.on(1);
  m.flush();
  m.expect_mapped(0x1000, 0x5000);
  m.on(0);
  m.p2m.back(Gpa(0x6000));
  m.map(0x1000, 0x6000, kUsed);
  m.on(1);
  m.mark();
  m.expect_mapped(0x1000, 0x5000);  // it has not flushed yet
  m.flush();
  EXPECT_EQ(m.since(Counter::kSyncedPages), 1u);
  m.expect_mapped(0x1000, 0x6000);
  m.on(0);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>6000 4K wux"));
}

TEST(Vcpus, RevocationsAskAllToFlush) {
  using Change = void (*)(Machine&);
  const Change changes[] = {
      [](Machine& m) { ASSERT_TRUE(m.p2m.remap(Gpa(0x5000)).ok()); },
      [](Machine& m) { ASSERT_TRUE(m.p2m.balloon(Gpa(0x5000)).ok()); },
      [](Machine& m) { m.p2m.start_dirty_log(Gpa(0x5000), 1); },
      [](Machine& m) { m.mmu->drop_caches(); },
      [](Machine& m) {  // the frame becomes a table
        m.store_pte(m.entry_at(0x4000'0000, 2), 0x5000 | kUser);
        m.store_pte(Gpa(0x5000), 0x7000 | kUsed);
        m.expect_mapped(0x4000'0000, 0x7000);
      },
  };
  for (const Change change : changes) {
    Machine m("shadow", {.cpus = 3});
    m.map(0x1000, 0x5000, kUsed);
    for (const unsigned cpu : {2u, 1u, 0u}) {
      m.on(cpu);
      m.expect_mapped(0x1000, 0x5000, kWrite);
      m.cpu().gate.flush_request.store(false);
    }
    change(m);
    for (const unsigned cpu : {0u, 1u, 2u}) {
      m.on(cpu);
      EXPECT_TRUE(m.cpu().gate.flush_request.load());
      m.expect_agrees(0x1000);
    }
  }
}

TEST(Vcpus, DetachLeavesTheOthersRunning) {
  Machine m("shadow:prefetch=0", {.cpus = 2});
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  VcpuState extra(7);
  m.mmu->attach(extra);
  extra.controls = m.cpu().controls;
  extra.update_rules();
  m.mmu->controls_changed(extra, {});
  EXPECT_TRUE(m.mmu->miss(extra, Gva(0x1000), kRead).ok());
  EXPECT_EQ(extra.counters[Counter::kHiddenFaults], 0u);
  m.expect_sound();
  m.mmu->detach(extra);
  m.expect_sound();
  m.mark();
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 0u);
}

}  // namespace
}  // namespace gnomon::shadow_test

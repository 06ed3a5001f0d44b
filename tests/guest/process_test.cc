// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "gnomon/x86/entry_bits.h"
#include "tests/guest/machine.h"

namespace gnomon::guest_test {
namespace {

constexpr uint64_t kNoFlush = uint64_t{1} << 63;
using S = GuestStat;

TEST(GuestProcess, ForkSharesPagesUntilTheyAreWritten) {
  Machine m("shadow", small_guest());
  const uint64_t parent = m.run(0, 0);
  ASSERT_TRUE(m.map(0, kAt, 8 * kPage, kRw).ok());
  for (uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(m.write(0, kAt + i * kPage, 100 + i).ok());
  m.cpus[0]->cr3_loads.clear();
  ASSERT_TRUE(m.event(0, EventKind::kFork, 0, 0, 1).ok());
  EXPECT_EQ(m.cpus[0]->cr3_loads.size(), 1u) << "the parent's address space is flushed";
  EXPECT_EQ(m.entry(parent, kAt) & pte::kWritable, 0u);
  const uint64_t frames = m.kernel->frames_in_use();
  ASSERT_TRUE(m.write(0, kAt, 1).ok());
  EXPECT_EQ(m.kernel->frames_in_use(), frames + 1);
  const uint64_t child = m.run(0, 1);
  EXPECT_EQ(m.read(0, kAt), 100u);
  ASSERT_TRUE(m.write(0, kAt, 2).ok());
  EXPECT_EQ(m.kernel->frames_in_use(), frames + 1) << "the last owner takes the page";
  EXPECT_EQ(m.stat(S::kPagesCopied), 1u);
  EXPECT_EQ(m.entry(parent, kAt + kPage) & pte::kFrameMask,
            m.entry(child, kAt + kPage) & pte::kFrameMask);
  m.run(0, 0);
  EXPECT_EQ(m.read(0, kAt), 1u);
}

TEST(GuestProcess, SharedMappingsAreSharedAcrossForkAndLeftToFault) {
  Machine m("native", small_guest());
  m.run(0, 0);
  ASSERT_TRUE(m.map(0, kAt, 8 * kPage, kRw | kMapShared).ok());
  ASSERT_TRUE(m.map(0, kAt + kHuge, 8 * kPage, kMapRead, 3).ok());
  ASSERT_TRUE(m.write(0, kAt, 5).ok());
  m.read(0, kAt + kHuge);
  ASSERT_TRUE(m.event(0, EventKind::kFork, 0, 0, 1).ok());
  const uint64_t child = m.run(0, 1);
  EXPECT_EQ(m.entry(child, kAt), 0u);
  EXPECT_EQ(m.entry(child, kAt + kHuge), 0u);
  EXPECT_EQ(m.read(0, kAt), 5u);
  ASSERT_TRUE(m.write(0, kAt, 6).ok());
  m.run(0, 0);
  EXPECT_EQ(m.read(0, kAt), 6u);
  EXPECT_EQ(m.stat(S::kPagesCopied), 0u);
}

TEST(GuestProcess, ForkOfNPagesCostsNStores) {
  Machine m("native", small_guest());
  m.run(0, 0);
  ASSERT_TRUE(m.map(0, kHuge, 2000 * kPage, kRw).ok());
  for (uint64_t i = 0; i < 2000; ++i) ASSERT_TRUE(m.write(0, kHuge + i * kPage, i).ok());
  const uint64_t stores = m.stat(S::kEntryStores);
  ASSERT_TRUE(m.event(0, EventKind::kFork, 0, 0, 1).ok());
  EXPECT_EQ(m.stat(S::kEntryStores), stores + 2 * 2000 + 6);  // 6 tables below the root
}

TEST(GuestProcess, AHugePageIsSharedByForkAndSplitByTheFirstWrite) {
  GuestOptions o = small_guest();
  o.thp = HugePages::kAlways;
  Machine m("shadow", o);
  const uint64_t parent = m.run(0, 0);
  ASSERT_TRUE(m.map(0, kHuge, kHuge, kRw).ok());
  ASSERT_TRUE(m.write(0, kHuge, 5).ok());
  ASSERT_TRUE(m.event(0, EventKind::kFork, 0, 0, 1).ok());
  const uint64_t child = m.run(0, 1);
  unsigned level = 0;
  m.entry(child, kHuge, &level);
  EXPECT_EQ(level, 2u);
  ASSERT_TRUE(m.write(0, kHuge + kPage, 6).ok());
  m.entry(child, kHuge, &level);
  EXPECT_EQ(level, 1u);
  m.entry(parent, kHuge, &level);
  EXPECT_EQ(level, 2u);
  EXPECT_EQ(m.stat(S::kPagesCopied), 1u);
  ASSERT_TRUE(m.event(0, EventKind::kExit, 0, 0, 0, 0, 1).ok());
  m.run(0, 0);
  ASSERT_TRUE(m.write(0, kHuge + kPage, 7).ok());
  m.entry(parent, kHuge, &level);
  EXPECT_EQ(level, 2u) << "the last owner keeps it whole";
  EXPECT_EQ(m.read(0, kHuge), 5u);
}

TEST(GuestProcess, ExecStartsEmptyAndExitGivesEverythingBack) {
  for (const bool clear : {true, false}) {
    GuestOptions o = small_guest();
    o.clear_on_exit = clear;
    Machine m("shadow", o);
    const uint64_t booted = m.kernel->frames_in_use();
    m.run(0, 0);
    const uint64_t empty = m.kernel->frames_in_use();
    for (uint64_t i = 0; i < 40; ++i) ASSERT_TRUE(m.write(0, kAt + i * kHuge, i).ok());
    const uint64_t stores = m.stat(S::kEntryStores);
    ASSERT_TRUE(m.event(0, EventKind::kExec).ok());
    EXPECT_EQ(m.kernel->frames_in_use(), empty);
    if (!clear) EXPECT_EQ(m.stat(S::kEntryStores), stores);
    if (clear) EXPECT_GE(m.stat(S::kEntryStores), stores + 2 * 40);
    // Tables that are data now.
    for (uint64_t i = 0; i < 90; ++i) ASSERT_TRUE(m.write(0, kAt + i * kPage, ~i).ok());
    for (uint64_t i = 0; i < 90; ++i) ASSERT_EQ(m.read(0, kAt + i * kPage), ~i);
    ASSERT_TRUE(m.event(0, EventKind::kExit, 0, 0, 0, 0, 1).ok());
    EXPECT_EQ(m.kernel->frames_in_use(), booted);
    EXPECT_EQ(m.stat(S::kTables) - m.stat(S::kTablesFreed), 1u);
    // What runs on is a process of the same number, anew.
    EXPECT_EQ(m.read(0, kAt), 0u);
    EXPECT_TRUE(m.mmu->audit().empty());
  }
}

TEST(GuestProcess, AForkBombIsStopped) {
  GuestOptions o = small_guest();
  o.max_processes = 20;
  Machine m("native", o);
  m.run(0, 0);
  absl::Status s;
  uint64_t child = 0;
  while ((s = m.event(0, EventKind::kFork, 0, 0, child + 1)).ok())
    m.run(0, static_cast<uint32_t>(++child));
  EXPECT_EQ(child, 19u);
  EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  EXPECT_EQ(std::string(s.message()), "fork: 20 processes are alive already");
  EXPECT_TRUE(absl::IsResourceExhausted(m.kernel->run(0, {0, 77})));
  EXPECT_EQ(m.stat(S::kProcesses), 20u);
}

TEST(GuestProcess, GroupsAreApart) {
  Machine m("native", small_guest());
  ASSERT_TRUE(m.kernel->run(0, {0, 0}).ok());
  ASSERT_TRUE(m.map(0, kAt, kPage, kRw | kMapShared, 1).ok());
  ASSERT_TRUE(m.write(0, kAt, 5).ok());
  ASSERT_TRUE(m.kernel->run(0, {1, 0}).ok());
  ASSERT_TRUE(m.map(0, kAt, kPage, kRw | kMapShared, 1).ok());
  EXPECT_EQ(m.read(0, kAt), 0u);
  EXPECT_EQ(m.stat(S::kContextSwitches), 1u);
}

TEST(GuestTlb, FewPagesAreInvalidatedSinglyAndManyAtOnce) {
  for (const uint64_t pages : {1u, 33u, 34u}) {
    Machine m("shadow", small_guest(), 2);
    m.run(0, 0);
    m.run(1, 0);
    ASSERT_TRUE(m.map(0, kAt, 64 * kPage, kRw).ok());
    for (uint64_t i = 0; i < 64; ++i) ASSERT_TRUE(m.write(0, kAt + i * kPage, i).ok());
    for (const auto& cpu : m.cpus) cpu->invlpgs.clear(), cpu->cr3_loads.clear();
    ASSERT_TRUE(m.event(0, EventKind::kProtect, kAt, pages * kPage, 0, 0, kMapRead).ok());
    for (const auto& cpu : m.cpus) {
      EXPECT_EQ(cpu->invlpgs.size(), pages <= 33 ? pages : 0);
      EXPECT_EQ(cpu->cr3_loads.size(), pages <= 33 ? 0u : 1u);
    }
    EXPECT_EQ(m.stat(S::kShootdowns), 1u);
    m.run(1, 1);
    ASSERT_TRUE(m.event(0, EventKind::kUnmap, kAt, pages * kPage).ok());
    EXPECT_EQ(m.stat(S::kShootdowns), 1u) << "it is not loaded there any more";
  }
}

TEST(GuestTlb, PcidsAreKeptAndFlushedWhenStale) {
  GuestOptions o = small_guest();
  o.pcid = true;
  Machine m("native", o, 2);
  const auto last = [&](unsigned cpu) { return m.cpus[cpu]->cr3_loads.back(); };
  m.run(0, 0);
  EXPECT_EQ(last(0) & 0xfff, 1u);
  EXPECT_EQ(last(0) & kNoFlush, 0u);
  ASSERT_TRUE(m.map(0, kAt, kPage, kRw).ok());
  ASSERT_TRUE(m.write(0, kAt, 1).ok());
  m.run(0, 1);
  EXPECT_EQ(last(0) & 0xfff, 2u);
  m.run(0, 0);
  EXPECT_EQ(last(0) & (kNoFlush | 0xfff), kNoFlush | 1);
  // Changed on another processor while it is not loaded here: no interrupt, but a flush at the next
  // load.
  m.run(0, 1);
  m.run(1, 0);
  ASSERT_TRUE(m.event(1, EventKind::kUnmap, kAt, kPage).ok());
  EXPECT_EQ(m.stat(S::kShootdowns), 0u);
  m.run(0, 0);
  EXPECT_EQ(last(0) & (kNoFlush | 0xfff), 1u);
  // Six in turn; the seventh takes the first one's.
  for (uint32_t process = 2; process <= 6; ++process) m.run(0, process);
  EXPECT_EQ(last(0) & (kNoFlush | 0xfff), 1u);
  m.run(0, 0);
  EXPECT_EQ(last(0) & (kNoFlush | 0xfff), 2u);
}

TEST(GuestTlb, AnExitElsewhereTakesTheAddressSpaceAway) {
  Machine m("shadow", small_guest(), 2);
  m.run(0, 0);
  m.run(1, 0);
  ASSERT_TRUE(m.map(0, kAt, kPage, kRw).ok());
  ASSERT_TRUE(m.write(1, kAt, 1).ok());
  ASSERT_TRUE(m.event(0, EventKind::kExit, 0, 0, 0, 0, 1).ok());
  EXPECT_EQ(m.cpus[0]->root(), m.cpus[1]->root()) << "both are on the kernel's own";
  EXPECT_EQ(m.read(1, kAt), 0u) << "a new process of the same number";
}

TEST(GuestKernelEntries, EachCauseHasItsNumberOfAccesses) {
  GuestOptions o = small_guest();
  o.kernel_entries = true;
  Machine m("shadow", o);
  m.run(0, 0);
  ASSERT_TRUE(m.map(0, kAt, kPage, kRw).ok());
  TestCpu& cpu = *m.cpus[0];
  const auto count = [&](auto&& act) {
    cpu.kernel_pages.clear();
    act();
    return cpu.kernel_pages.size();
  };
  // docs/guest-model.md: 7 and one for each table on the way; the first fault also makes 3 tables.
  EXPECT_EQ(count([&] { EXPECT_TRUE(m.write(0, kAt, 1).ok()); }), 7u + 1 + 3);
  EXPECT_EQ(count([&] { EXPECT_TRUE(m.event(0, EventKind::kSyscall, 0, 0, 3).ok()); }), 7u);
  const std::set<uint64_t> third(cpu.kernel_pages.begin(), cpu.kernel_pages.end());
  EXPECT_EQ(count([&] { EXPECT_TRUE(m.event(0, EventKind::kSyscall, 0, 0, 4).ok()); }), 7u);
  EXPECT_NE(third, std::set<uint64_t>(cpu.kernel_pages.begin(), cpu.kernel_pages.end()));
  EXPECT_EQ(count([&] { m.kernel->interrupt(0); }), 7u);
  EXPECT_EQ(count([&] { m.run(0, 1); }), 6u);
  EXPECT_EQ(m.stat(S::kSyscalls), 2u);
  EXPECT_EQ(m.stat(S::kInterrupts), 1u);
  // The kernel's half is the same everywhere: global, and nothing for the process.
  const uint64_t text = 0xffff'ffff'8100'0000;
  EXPECT_NE(m.entry(cpu.root(), text) & pte::kGlobal, 0u);
  EXPECT_TRUE(absl::IsInvalidArgument(m.touch(0, text, AccessOp::kFetch)));
}

TEST(GuestKernelEntries, TheKernelReadsAndWritesUserMemory) {
  GuestOptions o = small_guest();
  o.kernel_entries = true;
  Machine m("nested", o);
  const uint64_t root = m.run(0, 0);
  ASSERT_TRUE(m.map(0, kAt, 4 * kPage, kRw).ok());
  ASSERT_TRUE(m.map(0, kAt + 4 * kPage, kPage, kMapRead).ok());
  ASSERT_TRUE(m.event(0, EventKind::kKernelWrite, kAt + 100, 2 * kPage).ok());
  for (uint64_t i = 0; i < 3; ++i) EXPECT_NE(m.entry(root, kAt + i * kPage) & pte::kWritable, 0u);
  EXPECT_EQ(m.entry(root, kAt + 3 * kPage), 0u);
  // As far as there are mappings; and what happened was permitted.
  ASSERT_TRUE(m.event(0, EventKind::kKernelWrite, kAt, uint64_t{1} << 40).ok());
  EXPECT_NE(m.entry(root, kAt + 4 * kPage) & pte::kWritable, 0u);
  EXPECT_EQ(m.entry(root, kAt + 5 * kPage), 0u);
  ASSERT_TRUE(m.event(0, EventKind::kKernelRead, kAt, 0).ok());
}

TEST(GuestBoot, WhatCannotBe) {
  GuestOptions o = small_guest();
  o.memory_bytes = kPage;
  EXPECT_TRUE(absl::IsResourceExhausted(Machine("native", o).booted));
  o.memory_bytes = 4 << 20;
  o.kernel_entries = true;
  EXPECT_TRUE(absl::IsResourceExhausted(Machine("native", o).booted));
  o.memory_bytes = 16 << 20;
  o.placement = FramePlacement::kFragmented;
  o.fragmented_percent = 100;
  EXPECT_TRUE(Machine("native", o).booted.ok());
  EXPECT_TRUE(absl::IsInvalidArgument(GuestKernel::boot({}, o).status()));
}

TEST(GuestOptions, AreParsed) {
  const auto o = parse_guest_options(
      "thp=always,placement=random,pcid=on,fault_around_bytes=16K,max_processes=5,clear_on_exit="
      "off,"
      "kernel_entries=no,seed=9,max_mappings=77,fragmented_percent=20");
  ASSERT_TRUE(o.ok()) << o.status();
  EXPECT_EQ(o->thp, HugePages::kAlways);
  EXPECT_EQ(o->placement, FramePlacement::kRandom);
  EXPECT_TRUE(o->pcid);
  EXPECT_FALSE(o->clear_on_exit);
  EXPECT_FALSE(o->kernel_entries);
  EXPECT_EQ(o->fault_around_bytes, 16u << 10);
  EXPECT_EQ(o->max_processes, 5u);
  EXPECT_EQ(o->max_mappings, 77u);
  EXPECT_EQ(o->fragmented_percent, 20u);
  EXPECT_EQ(o->seed, 9u);
  EXPECT_TRUE(parse_guest_options("").ok());
  for (const char* bad :
       {"thp=sometimes", "placment=random", "fault_around_bytes=5000", "pcid", "seed=-1",
        "fragmented_percent=101", "max_processes=0", "fault_around_bytes=4M"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(parse_guest_options(bad).status())) << bad;
  }
}

TEST(GuestStatTable, NamesAreUniqueAndInOrder) {
  std::set<std::string> names;
  for (const GuestStatInfo& row : guest_stat_table()) {
    EXPECT_TRUE(names.insert(std::string(row.name)).second) << row.name;
    EXPECT_FALSE(row.description.empty());
  }
}

}  // namespace
}  // namespace gnomon::guest_test

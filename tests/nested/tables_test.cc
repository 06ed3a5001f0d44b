// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/nested/machine.h"
#include "tests/support/scale.h"

// The nested tables under changes of the p2m, and their entries.

namespace gnomon::nested_test {
namespace {


TEST(Tables, FollowEachChangeOfTheP2m) {
  Machine m(PagingMode::kLevel4, {.backing = PageSize::k2M});
  m.map(Gva(0x4000'0000), Gpa(0x40'0000), PageSize::k2M);
  Nested n(m);
  const uint64_t va = 0x4000'5000;
  const Gpa gpa(0x40'5000);
  EXPECT_EQ(n.access(va).size, PageSize::k2M);
  EXPECT_GE(n.count(Counter::kNestedLargeFills), 1u);

  ASSERT_TRUE(m.p2m.remap(gpa).ok());
  EXPECT_EQ(n.findings(), "");
  EXPECT_EQ(n.access(va).hpa, m.p2m.lookup(gpa).frame());
  EXPECT_EQ(n.access(va).size, PageSize::k2M);

  ASSERT_TRUE(m.p2m.balloon(Gpa(0x40'6000)).ok());
  EXPECT_EQ(n.findings(), "");
  EXPECT_EQ(n.access(va).size, PageSize::k4K);
  EXPECT_EQ(n.access(va + 0x1000).cause, HostCause::kBallooned);
  EXPECT_EQ(n.access(va + 0x1000).gpa, Gpa(0x40'6000));

  ASSERT_TRUE(m.p2m.deflate(Gpa(0x40'6000)).ok());
  EXPECT_TRUE(n.access(va + 0x1000).ok());
  ASSERT_TRUE(m.p2m.promote(gpa).ok());
  EXPECT_EQ(n.findings(), "");
  EXPECT_EQ(n.access(va).size, PageSize::k2M);
  ASSERT_TRUE(m.p2m.split(gpa).ok());
  EXPECT_EQ(n.access(va).size, PageSize::k4K);
  EXPECT_EQ(n.findings(), "");
}

TEST(Tables, LargePagesAreNotMadeWhereFramesAreLogged) {
  Machine m(PagingMode::kLevel4, {.backing = PageSize::k2M});
  m.map(Gva(0x4000'0000), Gpa(0x40'0000), PageSize::k2M);
  Nested n(m);
  EXPECT_EQ(n.access(0x4000'0000, kWrite).size, PageSize::k2M);
  m.p2m.start_dirty_log(Gpa(0x40'7000), 1);
  EXPECT_EQ(n.findings(), "");
  EXPECT_EQ(n.access(0x4000'0000, kWrite).size, PageSize::k4K);
  EXPECT_TRUE(m.p2m.take_dirty(Gpa(0x40'0000), 512).empty());
  EXPECT_TRUE(n.access(0x4000'7000, kWrite).dirty);
  EXPECT_EQ(m.p2m.take_dirty(Gpa(0x40'0000), 512), std::vector<Gpa>{Gpa(0x40'7000)});
  EXPECT_EQ(n.findings(), "");
}

TEST(Tables, RemovedSlotGivesItsTablesBack) {
  Machine m;
  ASSERT_TRUE(m.p2m.add_slot(Gpa(uint64_t{1} << 40), 4 << 20).ok());
  m.map(Gva(kVa), Gpa(uint64_t{1} << 40));
  const uint64_t free_before = m.host->free_bytes();
  {
    Nested n(m);
    EXPECT_TRUE(n.access(kVa).ok());
    const uint64_t with_slot = n.mmu->table_bytes();
    ASSERT_TRUE(m.p2m.remove_slot(Gpa(uint64_t{1} << 40)).ok());
    EXPECT_LT(n.mmu->table_bytes(), with_slot);
    EXPECT_EQ(n.mmu->counters()[Counter::kTableBytes], n.mmu->table_bytes());
    EXPECT_EQ(n.mmu->counters()[Counter::kTableBytesPeak], with_slot);
    EXPECT_EQ(n.access(kVa).outcome, Outcome::kNotBacked);
    EXPECT_EQ(n.findings(), "");
    n.mmu->drop_caches();
    EXPECT_LE(n.mmu->table_bytes(), bytes_of(PageSize::k4K));
    EXPECT_TRUE(n.access(kVa + 0x1000).outcome == Outcome::kGuestFault);
  }
  EXPECT_EQ(m.host->free_bytes(), free_before);
}

TEST(Tables, AuditNoticesCorruption) {
  Machine m;
  m.map(Gva(kVa), Gpa(0x70'0000));
  Nested n(m);
  n.access(kVa, kWrite);
  std::vector<WalkReference> log;
  m.cpu.log = &log;
  n.access(kVa, kWrite);
  m.cpu.log = nullptr;
  ASSERT_EQ(n.findings(), "");
  const Hpa vmm = *m.host->allocate(FrameOwner::kVmm);
  // Every entry that the walk read, replaced by one that leads elsewhere.
  for (const WalkReference& r : log) {
    if (r.dimension != WalkReference::Dimension::kHost) continue;
    uint64_t& entry = *m.host->at<uint64_t>(Hpa(r.address));
    const uint64_t good = entry;
    for (const uint64_t bad : {(good & ~pte::kFrameMask) | vmm.value(), good & ~ept::kRead,
                               good | uint64_t{1} << 50, uint64_t{ept::kWriteBack}}) {
      entry = bad;
      EXPECT_NE(n.findings(), "") << r.level << " " << bad;
    }
    entry = good;
  }
  EXPECT_EQ(n.findings(), "");
}

// vCPUs walk while another thread moves and write-protects what they walk through.
TEST(Tables, ChangeUnderWalkingProcessors) {
  Machine m;
  m.map(Gva(kVa), Gpa(0x70'0000));
  m.map(Gva(kVa + 0x1000), Gpa(0x70'1000));
  m.p2m.lock().set_threaded(true);
  Nested n(m);
  VcpuState other(1);
  other.controls = m.cpu.controls;
  other.update_rules();
  n.mmu->attach(other);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0};
  m.poke(Gpa(0x70'0000), 0x1234);
  const auto drive = [&](VcpuState& cpu) {
    cpu.gate.in_guest = true;
    while (!stop) {
      if (cpu.gate.flush_request) {
        cpu.gate.in_guest = false;
        cpu.gate.flush_request = false;
        cpu.gate.in_guest = true;
      }
      const Translation t = n.mmu->miss(cpu, Gva(kVa), kRead);
      // Used before the next miss, which may exit and so let the frame move.
      const bool right = t.ok() && load_entry<uint64_t>(m.host->at(t.hpa)) == 0x1234;
      const Translation w = n.mmu->miss(cpu, Gva(kVa + 0x1000), kWrite);
      if (!right || !w.ok()) ++wrong;
    }
    cpu.gate.in_guest = false;
  };
  std::thread a(drive, std::ref(m.cpu)), b(drive, std::ref(other));
  const unsigned rounds = by_scale(200, 2000, 20'000);
  for (unsigned i = 0; i < rounds; ++i) {
    const VmGuard guard(m.p2m.lock());
    switch (i % 4) {
      case 0: ASSERT_TRUE(m.p2m.remap(Gpa(0x70'0000)).ok()); break;
      case 1: ASSERT_TRUE(m.p2m.remap(m.entry_of(Gva(kVa), 1)).ok()); break;
      case 2: m.p2m.start_dirty_log(Gpa(0x70'1000), 1); break;
      default: m.p2m.take_dirty(Gpa(0), 0x1000); break;
    }
  }
  stop = true;
  a.join();
  b.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(n.findings(), "");
  n.mmu->detach(other);
}

TEST(Format, EptRightsAndMisconfigurations) {
  using F = EptFormat<4, true>;
  constexpr PagingRules rules = ept_rules(46);
  for (Rights r = 0; r <= kAllRights; ++r) {
    const uint64_t e = F::make_leaf(0x20'0000, 1, r);
    EXPECT_EQ(F::present(e), r != 0);
    EXPECT_EQ(F::rights(e, 1, rules), r);
    EXPECT_EQ(F::malformed(e, 1, true, rules), (r & kRightWrite) != 0 && (r & kRightUser) == 0);
    EXPECT_EQ(rules.permits({AccessOp::kRead, Privilege::kSupervisor}, r), (r & kRightUser) != 0);
    EXPECT_EQ(rules.permits({AccessOp::kWrite, Privilege::kImplicit}, r), (r & kRightWrite) != 0);
    EXPECT_EQ(rules.permits({AccessOp::kFetch, Privilege::kUser}, r), (r & kRightExec) != 0);
  }
  for (uint64_t type = 0; type < 8; ++type) {
    const uint64_t e = ept::kRead | type << ept::kMemoryTypeShift;
    EXPECT_EQ(F::malformed(e, 1, true, rules), type == 2 || type == 3 || type == 7) << type;
  }
  // Each single reserved bit, by kind of entry.
  struct Kind {
    unsigned level;
    bool leaf;
    uint64_t reserved;
  };
  const uint64_t beyond = bit_range(51, 46);
  for (const Kind& k : {Kind{5, false, beyond | bit_range(7, 3)}, {4, false, beyond | bit_range(7, 3)},
                        {3, false, beyond | bit_range(6, 3)}, {2, false, beyond | bit_range(6, 3)},
                        {3, true, beyond | bit_range(29, 12)}, {2, true, beyond | bit_range(20, 12)},
                        {1, true, beyond}}) {
    for (unsigned bit = 6; bit < 64; ++bit) {
      const uint64_t e = ept::kRead | uint64_t{1} << bit;
      EXPECT_EQ(F::malformed(e, k.level, k.leaf, rules), ((k.reserved >> bit) & 1) != 0) << k.level << " " << bit;
    }
  }
  EXPECT_EQ(describe_bits(kEptRows, 1, true, F::make_leaf(0x1000, 1, kAllRights)), "R W X type=0x6 frame=0x1");
}

}  // namespace
}  // namespace gnomon::nested_test

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/vcpu.h"

#include "gtest/gtest.h"
#include "tests/vcpu/machine.h"

namespace gnomon::vcpu_test {
namespace {

class VcpuTest : public ::testing::Test {
 protected:
  VcpuTest() {
    EXPECT_TRUE(cpu.write_controls(kCr0, kCr4, kEfer));
    EXPECT_TRUE(cpu.write_cr3(root));
  }
  uint64_t hits() { return cpu.counters()[Counter::kTlbHitsL1] + cpu.counters()[Counter::kTlbHitsL2]; }
  Gpa gpa_of(uint64_t va, Access access = kRead) { return cpu.access(Gva(va), access).gpa; }

  Machine m;
  uint64_t root = m.frame();
  Vcpu<NativeMmu> cpu{m.mmu, m.p2m, parts("skylake")};
};

TEST_F(VcpuTest, SecondAccessHits) {
  m.map(root, 0x5000, 0x20'0000 | kRw);
  const Translation first = cpu.access(Gva(0x5123), kRead);
  EXPECT_EQ(first.gpa, Gpa(0x20'0123));
  EXPECT_EQ(hits(), 0u);
  EXPECT_EQ(cpu.access(Gva(0x5123), kRead), first);
  EXPECT_EQ(hits(), 1u);
  EXPECT_EQ(cpu.counters()[Counter::kAccesses], 2u);
  EXPECT_EQ(cpu.counters()[Counter::kTlbMisses], 1u);
  EXPECT_EQ(cpu.counters()[Counter::kWalks], 1u);
  EXPECT_EQ(cpu.counters()[Counter::kWalkGuestL4], 1u);
}

TEST_F(VcpuTest, NeighboursSkipTheUpperLevels) {
  for (uint64_t va : {0x5000, 0x6000}) m.map(root, va, 0x20'0000 | kRw);
  gpa_of(0x5000);
  gpa_of(0x6000);
  EXPECT_EQ(cpu.counters()[Counter::kWalkGuestL4], 1u);
  EXPECT_EQ(cpu.counters()[Counter::kWalkGuestL1], 2u);
}

TEST_F(VcpuTest, StoreToACleanPageWalksAndSetsDirty) {
  m.map(root, 0x5000, 0x20'0000 | kRw);
  gpa_of(0x5000);
  EXPECT_EQ(m.get(m.entry(root, 0x5000)) & pte::kDirty, 0u);
  EXPECT_TRUE(cpu.store(Gva(0x5000), 8, 7, kWrite).done());
  EXPECT_EQ(hits(), 0u);
  EXPECT_NE(m.get(m.entry(root, 0x5000)) & pte::kDirty, 0u);
  EXPECT_TRUE(cpu.store(Gva(0x5008), 8, 8, kWrite).done());
  EXPECT_EQ(hits(), 1u);
}

TEST_F(VcpuTest, SupervisorStoreWithoutWriteProtectionSetsDirtyToo) {
  EXPECT_TRUE(cpu.write_controls(kCr0 & ~cr0::kWP, kCr4, kEfer));
  m.map(root, 0x5000, 0x20'0000 | pte::kPresent);
  const Access supervisor{AccessOp::kRead, Privilege::kSupervisor};
  cpu.access(Gva(0x5000), supervisor);
  EXPECT_TRUE(cpu.store(Gva(0x5000), 8, 7, supervisor).done());
  EXPECT_NE(m.get(m.entry(root, 0x5000)) & pte::kDirty, 0u);
}

TEST_F(VcpuTest, InvlpgForgetsOnePageAndTheTablesAbove) {
  m.map(root, 0x5000, 0x20'0000 | kRw);
  gpa_of(0x5000);
  m.map(root, 0x5000, 0x30'0000 | kRw);
  EXPECT_EQ(gpa_of(0x5000), Gpa(0x20'0000)) << "stale, as on the processor";
  cpu.invlpg(Gva(0x5fff));
  EXPECT_EQ(gpa_of(0x5000), Gpa(0x30'0000));
  // Another page table under the same directory entry.
  const uint64_t other = m.frame();
  m.put(other + 8 * 5, 0x40'0000 | kRw);
  m.put(m.entry(root, 0, 2), other | kRw);
  cpu.invlpg(Gva(0x5000));
  EXPECT_EQ(gpa_of(0x5000), Gpa(0x40'0000));
}

TEST_F(VcpuTest, MorePermissiveTablesNeedNoInvalidation) {
  m.map(root, 0x5000, 0x20'0000 | kRw);
  m.put(m.entry(root, 0x5000, 2), (m.get(m.entry(root, 0x5000, 2)) & pte::kFrameMask) |
                                      pte::kPresent | pte::kUser);
  gpa_of(0x5000);
  EXPECT_EQ(cpu.access(Gva(0x5000), kWrite).error_code, pf::kPresent | pf::kWrite | pf::kUser);
  m.put(m.entry(root, 0x5000, 2), m.get(m.entry(root, 0x5000, 2)) | pte::kWritable);
  EXPECT_TRUE(cpu.access(Gva(0x5000), kWrite).ok());
}

TEST_F(VcpuTest, GlobalPagesSurviveCr3LoadsUntilPgeChanges) {
  m.map(root, 0x5000, 0x20'0000 | kRw | pte::kGlobal);
  m.map(root, 0x6000, 0x20'1000 | kRw);
  gpa_of(0x5000);
  gpa_of(0x6000);
  EXPECT_TRUE(cpu.write_cr3(root));
  m.map(root, 0x5000, 0x30'0000 | kRw | pte::kGlobal);
  m.map(root, 0x6000, 0x30'1000 | kRw);
  EXPECT_EQ(gpa_of(0x5000), Gpa(0x20'0000));
  EXPECT_EQ(gpa_of(0x6000), Gpa(0x30'1000));
  EXPECT_TRUE(cpu.write_controls(kCr0, kCr4 & ~cr4::kPGE, kEfer));
  EXPECT_EQ(gpa_of(0x5000), Gpa(0x30'0000));
}

TEST_F(VcpuTest, PcidsKeepTranslationsApart) {
  ASSERT_TRUE(cpu.write_controls(kCr0, kCr4 | cr4::kPCIDE, kEfer));
  const uint64_t other = m.frame();
  m.map(root, 0x5000, 0x20'0000 | kRw);
  m.map(other, 0x5000, 0x30'0000 | kRw);
  EXPECT_TRUE(cpu.write_cr3(root | 1));
  EXPECT_EQ(gpa_of(0x5000), Gpa(0x20'0000));
  EXPECT_TRUE(cpu.write_cr3(other | 2));
  EXPECT_EQ(gpa_of(0x5000), Gpa(0x30'0000));
  m.map(root, 0x5000, 0x40'0000 | kRw);
  EXPECT_TRUE(cpu.write_cr3(root | 1 | cr3::kNoFlush));
  EXPECT_EQ(cpu.controls().cr3, root | 1);
  EXPECT_EQ(gpa_of(0x5000), Gpa(0x20'0000)) << "kept";
  EXPECT_TRUE(cpu.write_cr3(root | 1));
  EXPECT_EQ(gpa_of(0x5000), Gpa(0x40'0000)) << "flushed";

  m.map(other, 0x5000, 0x41'0000 | kRw);
  EXPECT_TRUE(cpu.invpcid(InvpcidType::kAddress, 2, Gva(0x5000)));
  EXPECT_TRUE(cpu.write_cr3(other | 2 | cr3::kNoFlush));
  EXPECT_EQ(gpa_of(0x5000), Gpa(0x41'0000));
  for (const auto type : {InvpcidType::kContext, InvpcidType::kAllWithGlobals, InvpcidType::kAll}) {
    const uint64_t to = 0x50'0000 + (static_cast<uint64_t>(type) << 12);
    m.map(other, 0x5000, to | kRw);
    EXPECT_NE(gpa_of(0x5000), Gpa(to));
    EXPECT_TRUE(cpu.invpcid(type, 2, Gva()));
    EXPECT_EQ(gpa_of(0x5000), Gpa(to));
  }
  EXPECT_FALSE(cpu.invpcid(InvpcidType::kContext, 4096, Gva()));
  EXPECT_FALSE(cpu.invpcid(InvpcidType::kAddress, 2, Gva(uint64_t{1} << 47)));
  EXPECT_FALSE(cpu.write_controls(kCr0, kCr4, 0)) << "LME while paging";
  EXPECT_TRUE(cpu.write_controls(kCr0, kCr4, kEfer));
  EXPECT_FALSE(cpu.invpcid(InvpcidType::kContext, 2, Gva())) << "without PCIDE";
  EXPECT_FALSE(cpu.write_controls(kCr0, kCr4 | cr4::kPCIDE, kEfer)) << "CR3 bits 11..0 in use";
}

TEST_F(VcpuTest, LoadsAndStoresCrossPages) {
  m.map(root, 0x5000, 0x20'0000 | kRw);
  m.map(root, 0x6000, 0x30'0000 | kRw);
  for (unsigned size = 1; size <= 8; ++size) {
    for (uint64_t va = 0x5ff0; va < 0x6008; ++va) {
      const uint64_t value = 0x1122'3344'5566'7788 * (va + size);
      ASSERT_TRUE(cpu.store(Gva(va), size, value, kWrite).done());
      const uint64_t kept = size == 8 ? value : value & ((uint64_t{1} << 8 * size) - 1);
      const MemoryResult back = cpu.load(Gva(va), size, kRead);
      ASSERT_TRUE(back.done());
      ASSERT_EQ(back.value, kept) << size << " at " << va;
      for (unsigned i = 0; i < size; ++i) {
        const uint64_t at = va + i < 0x6000 ? 0x20'0000 + (va + i) % 4096 : 0x30'0000 + (va + i) % 4096;
        ASSERT_EQ(m.get(at, 1), kept >> 8 * i & 0xff);
      }
    }
  }
}

TEST_F(VcpuTest, AStoreIntoTwoPagesIsAllOrNothing) {
  m.map(root, 0x5000, 0x20'0000 | kRw);
  m.map(root, 0x6000, 0x30'0000 | pte::kPresent | pte::kUser);
  const MemoryResult r = cpu.store(Gva(0x5ffc), 8, ~uint64_t{0}, kWrite);
  EXPECT_EQ(r.translation.outcome, Outcome::kGuestFault);
  EXPECT_EQ(m.get(0x20'0ffc, 4), 0u);
  EXPECT_TRUE(cpu.load(Gva(0x5ffc), 8, kRead).done());
}

TEST_F(VcpuTest, MovedFramesAreSeenAtTheNextAccess) {
  m.map(root, 0x5000, 0x20'0000 | kRw);
  ASSERT_TRUE(cpu.store(Gva(0x5000), 8, 42, kWrite).done());
  const Hpa before = cpu.access(Gva(0x5000), kRead).hpa;
  ASSERT_TRUE(m.p2m.remap(Gpa(0x20'0000)).ok());
  EXPECT_NE(cpu.access(Gva(0x5000), kRead).hpa, before);
  EXPECT_EQ(cpu.load(Gva(0x5000), 8, kRead).value, 42u);
  EXPECT_FALSE(cpu.state().gate.flush_request.load());
}

TEST_F(VcpuTest, InvlpgReachesEveryPieceOfALargePage) {
  m.map(root, 0x20'0000, 0x40'0000 | kRw | pte::kLarge, 2);  // the host's pages are 4K
  EXPECT_EQ(gpa_of(0x20'3000), Gpa(0x40'3000));
  m.map(root, 0x20'0000, 0x60'0000 | kRw | pte::kLarge, 2);
  cpu.invlpg(Gva(0x20'0000));
  EXPECT_EQ(gpa_of(0x20'3000), Gpa(0x60'3000));
}

TEST_F(VcpuTest, KeysAndAcApplyToCachedTranslations) {
  ASSERT_TRUE(cpu.write_controls(kCr0, kCr4 | cr4::kPKE | cr4::kSMAP, kEfer));
  m.map(root, 0x5000, 0x20'0000 | kRw | uint64_t{3} << pte::kKeyShift);
  EXPECT_TRUE(cpu.access(Gva(0x5000), kRead).ok());
  cpu.write_pkru(1u << 6);
  EXPECT_EQ(cpu.access(Gva(0x5000), kRead).error_code, pf::kPresent | pf::kUser | pf::kKey);
  cpu.write_pkru(0);
  const Access supervisor{AccessOp::kRead, Privilege::kSupervisor};
  EXPECT_EQ(cpu.access(Gva(0x5000), supervisor).error_code, pf::kPresent);
  cpu.set_ac(true);
  EXPECT_TRUE(cpu.access(Gva(0x5000), supervisor).ok());
}

TEST_F(VcpuTest, ProbesChangeNothing) {
  m.map(root, 0x5000, 0x20'0000 | kRw);
  const Counters before = cpu.counters();
  Access probe = kWrite;
  probe = probe.with_probe(true);
  EXPECT_EQ(cpu.access(Gva(0x5000), probe).gpa, Gpa(0x20'0000));
  EXPECT_EQ(m.get(m.entry(root, 0x5000)), 0x20'0000 | kRw);
  EXPECT_EQ(cpu.counters()[Counter::kAccesses], before[Counter::kAccesses]);
}

// A backend that traps every access: what a tracked guest table looks like.
class TrappingBackend final : public Backend {
 public:
  absl::string_view name() const override { return "trapping"; }
  void attach(VcpuState&) override {}
  void detach(VcpuState&) override {}
  Translation miss(VcpuState&, Gva va, Access) override {
    Translation t;
    t.outcome = Outcome::kTranslated;
    t.cacheable = t.dirty = t.trapped = true;
    t.rights = kAllRights;
    t.gpa = Gpa(va.value());
    t.hpa = Hpa(2_MiB);
    return t;
  }
  void controls_changed(VcpuState&, const PagingRules&) override {}
  void cr3_loaded(VcpuState&, bool) override {}
  void invlpg(VcpuState&, Gva) override {}
  void invpcid(VcpuState&, InvpcidType, uint16_t, Gva) override {}
  StoreResult write_physical(VcpuState&, Gpa at, uint64_t value, unsigned size) override {
    writes.push_back({at, value & (size == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * size) - 1), size});
    return at.value() < 0x8000 ? StoreResult::kDone : StoreResult::kRefused;
  }
  bool read_physical(VcpuState&, Gpa at, unsigned, uint64_t& value) override {
    value = at.value() & 0xff;
    return at.value() < 0x8000;
  }
  uint64_t table_bytes() const override { return 0; }
  const Counters& counters() const override { return counters_; }
  void drop_caches() override {}
  std::vector<AuditFinding> audit() const override { return {}; }
  void before_p2m_change(Gpa, uint64_t, Change) override {}

  struct Write {
    Gpa at;
    uint64_t value;
    unsigned size;
    friend bool operator==(const Write&, const Write&) = default;
  };
  std::vector<Write> writes;

 private:
  Counters counters_;
};

TEST(VcpuTrapped, AccessesGoThroughTheBackend) {
  Machine m;
  TrappingBackend backend;
  Vcpu<TrappingBackend> cpu(backend, m.p2m, parts("tiny"));
  for (int again = 0; again < 2; ++again) {
    backend.writes.clear();
    EXPECT_TRUE(cpu.store(Gva(0x1ffe), 4, 0xaabbccdd, kWrite).done());
    EXPECT_EQ(backend.writes, (std::vector<TrappingBackend::Write>{{Gpa(0x1ffe), 0xccdd, 2},
                                                                   {Gpa(0x2000), 0xaabb, 2}}));
    EXPECT_EQ(cpu.load(Gva(0x1ffe), 4, kRead).value, 0xfeu);
    EXPECT_EQ(cpu.store(Gva(0x8000), 8, 1, kWrite).stored, StoreResult::kRefused);
    EXPECT_FALSE(cpu.load(Gva(0x8000), 8, kRead).done());
  }
}

}  // namespace
}  // namespace gnomon::vcpu_test

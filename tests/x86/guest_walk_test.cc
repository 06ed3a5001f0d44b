// SPDX-License-Identifier: Apache-2.0
#include "gnomon/x86/guest_walk.h"

#include <gtest/gtest.h>

#include <cstring>

#include "mmu/native/native.h"

// Guest walks through the p2m, as the native processor makes them: what is counted, and how the host's
// side of a table (read-only, absent, MMIO, ballooned, lazy, logged) shows in the outcome.

namespace gnomon {
namespace {

constexpr uint64_t kRootAt = 0x1000, kUpperAt = 0x2000, kDirectoryAt = 0x3000, kTableAt = 0x4000;
constexpr uint64_t kFiveAt = 0x5000;       // root of 5-level paging
constexpr uint64_t kDataAt = 0x20'0000;    // 2M-aligned
constexpr uint64_t kPWUA = 0x27;
constexpr Gva kVa{0x3123};                 // index 0 everywhere, 3 in the page table
constexpr Access kRead{AccessOp::kRead, Privilege::kUser};
constexpr Access kWrite{AccessOp::kWrite, Privilege::kUser};

class GuestWalkTest : public testing::Test {
 protected:
  GuestWalkTest()
      : host(HostMemory::create(32_MiB).value()), p2m(*host), mmu(p2m) {
    EXPECT_TRUE(p2m.add_slot(Gpa(0), 8_MiB).ok());
    mmu.attach(cpu);
  }
  ~GuestWalkTest() override { mmu.detach(cpu); }

  void put(uint64_t at, uint64_t value, unsigned bytes = 8) {
    p2m.back(Gpa(at));
    std::memcpy(p2m.ram_at(Gpa(at)), &value, bytes);
  }
  uint64_t get(uint64_t at) {
    uint64_t value = 0;
    std::memcpy(&value, p2m.ram_at(Gpa(at)), 8);
    return value;
  }

  void paging(PagingMode mode, uint64_t root) {
    Controls& c = cpu.controls;
    c.cr0 = cr0::kPE | cr0::kPG | cr0::kWP;
    c.cr4 = mode == PagingMode::kLegacy32 ? cr4::kPSE : cr4::kPAE;
    if (mode == PagingMode::kLevel5) c.cr4 |= cr4::kLA57;
    const bool long_mode = mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5;
    c.efer = long_mode ? efer::kLME | efer::kLMA : 0;
    c.cr3 = root;
    cpu.update_rules();
  }
  /// 4-level tables for kVa -> kDataAt, usable for 5-level with root kFiveAt.
  void long_tables(uint64_t table = kTableAt) {
    put(kFiveAt, kRootAt | kPWUA);
    put(kRootAt, kUpperAt | kPWUA);
    put(kUpperAt, kDirectoryAt | kPWUA);
    put(kDirectoryAt, table | kPWUA);
    paging(PagingMode::kLevel4, kRootAt);
  }
  uint64_t references(Access access = kRead) {
    const uint64_t before = cpu.counters.walk_references();
    EXPECT_TRUE(mmu.miss(cpu, kVa, access).ok());
    return cpu.counters.walk_references() - before;
  }

  std::unique_ptr<HostMemory> host;
  P2m p2m;
  NativeMmu mmu;
  VcpuState cpu;
};

TEST_F(GuestWalkTest, ReferencesPerMode) {
  long_tables();
  put(kTableAt + 24, kDataAt | kPWUA);
  EXPECT_EQ(references(), 4u);
  paging(PagingMode::kLevel5, kFiveAt);
  EXPECT_EQ(references(), 5u);
  EXPECT_EQ(cpu.counters[Counter::kWalkGuestL5], 1u);
  EXPECT_EQ(cpu.counters[Counter::kWalkGuestL1], 2u);
  EXPECT_EQ(cpu.counters[Counter::kWalks], 2u);

  put(kDirectoryAt, kDataAt | kPWUA | pte::kLarge);
  EXPECT_EQ(references(), 4u);
  paging(PagingMode::kLevel4, kRootAt);
  EXPECT_EQ(references(), 3u);
  put(kUpperAt, kPWUA | pte::kLarge);
  EXPECT_EQ(references(), 2u);
}

TEST_F(GuestWalkTest, ReferencesOfThe32BitModes) {
  put(kDirectoryAt, kTableAt | kPWUA);
  put(kTableAt + 24, kDataAt | kPWUA);
  put(kRootAt, kDirectoryAt | 1);  // PDPTE
  paging(PagingMode::kPae, kRootAt);
  ASSERT_TRUE(load_pdptes(p2m, cpu.controls, cpu.rules));
  EXPECT_EQ(references(), 2u);
  cpu.rules.pdptes_in_memory = true;
  EXPECT_EQ(references(), 3u);
  EXPECT_EQ(get(kRootAt), kDirectoryAt | 1) << "a PDPTE has no accessed flag";

  put(kDirectoryAt, kTableAt | kPWUA, 4);
  put(kTableAt + 12, kDataAt | kPWUA, 4);
  paging(PagingMode::kLegacy32, kDirectoryAt);
  EXPECT_EQ(references(), 2u);
  put(kDirectoryAt, kPWUA | pte::kLarge, 4);
  EXPECT_EQ(references(), 1u);
  cpu.controls.cr0 = cr0::kPE;
  cpu.update_rules();
  EXPECT_EQ(references(), 0u);
}

TEST_F(GuestWalkTest, LogHasEveryReferenceInOrder) {
  long_tables();
  put(kTableAt + 24, kDataAt | kPWUA);
  std::vector<WalkReference> log;
  cpu.log = &log;
  EXPECT_TRUE(mmu.miss(cpu, kVa, kRead).ok());
  using Dimension = WalkReference::Dimension;
  const std::vector<WalkReference> expected = {
      {Dimension::kGuest, 4, 4, kRootAt, kUpperAt | kPWUA},
      {Dimension::kGuest, 3, 3, kUpperAt, kDirectoryAt | kPWUA},
      {Dimension::kGuest, 2, 2, kDirectoryAt, kTableAt | kPWUA},
      {Dimension::kGuest, 1, 1, kTableAt + 24, kDataAt | kPWUA}};
  EXPECT_EQ(log, expected);
}

TEST_F(GuestWalkTest, TableInReadOnlyMemory) {
  SlotOptions rom;
  rom.rom = true;
  rom.lazy = false;
  constexpr uint64_t kRom = 0x4000'0000;
  ASSERT_TRUE(p2m.add_slot(Gpa(kRom), 64_KiB, rom).ok());
  long_tables(kRom);
  put(kRom + 24, kDataAt | 7);
  const Translation t = mmu.miss(cpu, kVa, kRead);
  EXPECT_EQ(t.outcome, Outcome::kHostViolation);
  EXPECT_EQ(t.cause, HostCause::kReadOnly);
  EXPECT_EQ(t.level, 1);
  EXPECT_EQ(t.gpa, Gpa(kRom + 24));
  // With the flags set by whoever made the image it is an ordinary table.
  put(kRom + 24, kDataAt | kPWUA);
  EXPECT_TRUE(mmu.miss(cpu, kVa, kRead).ok());
  EXPECT_EQ(mmu.miss(cpu, kVa, kWrite).cause, HostCause::kReadOnly);
  put(kRom + 24, kDataAt | kPWUA | pte::kDirty);
  EXPECT_TRUE(mmu.miss(cpu, kVa, kWrite).ok());
  // A page there can be read, not written; the guest's dirty flag is set all the same.
  long_tables();
  put(kTableAt + 24, (kRom + 0x1000) | kPWUA);
  EXPECT_TRUE(mmu.miss(cpu, kVa, kRead).ok());
  const Translation write = mmu.miss(cpu, kVa, kWrite);
  EXPECT_EQ(write.cause, HostCause::kReadOnly);
  EXPECT_EQ(write.level, 0);
  EXPECT_EQ(write.gpa, Gpa(kRom + 0x1123));
  EXPECT_EQ(get(kTableAt + 24) & pte::kDirty, pte::kDirty);
}

TEST_F(GuestWalkTest, TableOrPageOutsideRam) {
  constexpr uint64_t kMmio = 0x5000'0000, kHole = 0x6000'0000, kBallooned = 0x10'0000;
  ASSERT_TRUE(p2m.add_mmio(Gpa(kMmio), 64_KiB).ok());
  ASSERT_TRUE(p2m.balloon(Gpa(kBallooned)).ok());
  const struct {
    uint64_t at;
    Outcome outcome;
    HostCause cause;
  } kCases[] = {{kMmio, Outcome::kHostViolation, HostCause::kMmio},
                {kBallooned, Outcome::kHostViolation, HostCause::kBallooned},
                {kHole, Outcome::kNotBacked, HostCause::kNone}};
  for (const auto& c : kCases) {
    for (const bool probe : {false, true}) {
      SCOPED_TRACE(testing::Message() << std::hex << c.at << (probe ? " probe" : ""));
      long_tables(c.at);
      Access access = kRead;
      access = access.with_probe(probe);
      Translation t = mmu.miss(cpu, kVa, access);
      EXPECT_EQ(t.outcome, c.outcome);
      EXPECT_EQ(t.cause, c.cause);
      EXPECT_EQ(t.level, 1);
      EXPECT_EQ(t.gpa, Gpa(c.at + 24));
      long_tables();
      put(kTableAt + 24, c.at | kPWUA);
      t = mmu.miss(cpu, kVa, access);
      EXPECT_EQ(t.outcome, c.outcome);
      EXPECT_EQ(t.cause, c.cause);
      EXPECT_EQ(t.level, 0);
      EXPECT_EQ(t.gpa, Gpa(c.at + 0x123));
    }
  }
}

TEST_F(GuestWalkTest, UntouchedTableReadsAsZero) {
  constexpr uint64_t kLazy = 0x30'0000;
  long_tables(kLazy);
  Access probe = kRead;
  probe = probe.with_probe(true);
  EXPECT_EQ(mmu.miss(cpu, kVa, probe).error_code, pf::kUser);
  EXPECT_EQ(p2m.lookup(Gpa(kLazy)).state(), FrameState::kLazy) << "a probe backs nothing";
  const Translation t = mmu.miss(cpu, kVa, kRead);
  EXPECT_EQ(t.outcome, Outcome::kGuestFault);
  EXPECT_EQ(t.error_code, pf::kUser);
  EXPECT_EQ(t.level, 1);
}

TEST_F(GuestWalkTest, ProbeChangesNothing) {
  long_tables();
  put(kTableAt + 24, kDataAt | 7);
  for (const uint64_t at : {kRootAt, kUpperAt, kDirectoryAt}) put(at, get(at) & ~uint64_t{0x60});
  std::vector<uint8_t> before(p2m.ram_at(Gpa(kRootAt)), p2m.ram_at(Gpa(kRootAt)) + 8);
  const uint64_t walks = cpu.counters[Counter::kWalks];
  for (const AccessOp op : {AccessOp::kRead, AccessOp::kWrite, AccessOp::kFetch}) {
    const Translation t = mmu.miss(cpu, kVa, {op, Privilege::kUser, /*probe=*/true});
    EXPECT_TRUE(t.ok());
    EXPECT_EQ(t.gpa, Gpa(kDataAt + 0x123));
    EXPECT_FALSE(t.cacheable);
  }
  for (const uint64_t at : {kRootAt, kUpperAt, kDirectoryAt, kTableAt + 24}) {
    EXPECT_EQ(get(at) & 0x60, 0u);
  }
  EXPECT_EQ(cpu.counters[Counter::kWalks], walks);
  EXPECT_EQ(cpu.counters.walk_references(), 0u);
  EXPECT_EQ(p2m.lookup(Gpa(kDataAt)).state(), FrameState::kLazy);
}

TEST_F(GuestWalkTest, FlagUpdatesAreLoggedAsWritesOfTheTable) {
  long_tables();
  put(kTableAt + 24, kDataAt | 7);
  p2m.start_dirty_log(Gpa(0), 8_MiB >> 12);
  EXPECT_TRUE(mmu.miss(cpu, kVa, kRead).ok());
  EXPECT_EQ(p2m.take_dirty(Gpa(0), 8_MiB >> 12), std::vector<Gpa>{Gpa(kTableAt)});
  const Translation t = mmu.miss(cpu, kVa, kRead);
  EXPECT_FALSE(t.dirty) << "the next store has to be seen";
  EXPECT_TRUE(mmu.miss(cpu, kVa, kWrite).dirty);
  EXPECT_EQ(p2m.take_dirty(Gpa(0), 8_MiB >> 12), (std::vector<Gpa>{Gpa(kTableAt), Gpa(kDataAt)}));
}

TEST_F(GuestWalkTest, PdpteLoads) {
  paging(PagingMode::kPae, kRootAt + 0x20);  // 32-byte aligned is enough
  for (unsigned i = 0; i < 4; ++i) put(kRootAt + 0x20 + 8 * i, (0x10000 * (i + 1)) | 0x19);
  ASSERT_TRUE(load_pdptes(p2m, cpu.controls, cpu.rules));
  for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(cpu.controls.pdpte[i], (0x10000 * (i + 1)) | 0x19);
  // A present PDPTE with any reserved bit fails the whole load; an absent one may hold anything.
  const auto good = cpu.controls.pdpte;
  for (unsigned n = 1; n < 64; ++n) {
    const bool reserved = n <= 2 || (n >= 5 && n <= 8) || n >= cpu.cpu.maxphyaddr;
    for (unsigned i = 0; i < 4; ++i) {
      const uint64_t at = kRootAt + 0x20 + 8 * i;
      const uint64_t old = get(at);
      put(at, old | uint64_t{1} << n);
      EXPECT_EQ(load_pdptes(p2m, cpu.controls, cpu.rules), !reserved) << n;
      put(at, (old | uint64_t{1} << n) & ~uint64_t{1});
      EXPECT_TRUE(load_pdptes(p2m, cpu.controls, cpu.rules)) << n;
      put(at, old);
      cpu.controls.pdpte = good;
    }
  }
  put(kRootAt + 0x38, 0x10000 | 0x1 | 0x2);
  EXPECT_FALSE(load_pdptes(p2m, cpu.controls, cpu.rules));
  EXPECT_EQ(cpu.controls.pdpte, good) << "registers are unchanged by a failed load";
  for (const uint64_t cr3 : {uint64_t{0x7fff'f000}}) {
    cpu.controls.cr3 = cr3;
    EXPECT_FALSE(load_pdptes(p2m, cpu.controls, cpu.rules)) << "not in RAM";
  }
}

TEST_F(GuestWalkTest, AbsentPdpteFaultsAtLevelThree) {
  paging(PagingMode::kPae, kRootAt);
  ASSERT_TRUE(load_pdptes(p2m, cpu.controls, cpu.rules));
  const Translation t = mmu.miss(cpu, kVa, kWrite);
  EXPECT_EQ(t.outcome, Outcome::kGuestFault);
  EXPECT_EQ(t.error_code, pf::kUser | pf::kWrite);
  EXPECT_EQ(t.level, 3);
}

TEST_F(GuestWalkTest, AddressesThatAreNotCanonical) {
  long_tables();
  const struct {
    PagingMode mode;
    uint64_t root, first_bad, last_bad;
  } kCases[] = {
      {PagingMode::kLevel4, kRootAt, 0x0000'8000'0000'0000, 0xffff'7fff'ffff'ffff},
      {PagingMode::kLevel5, kFiveAt, 0x0100'0000'0000'0000, 0xfeff'ffff'ffff'ffff},
      {PagingMode::kPae, kRootAt, 0x1'0000'0000, ~uint64_t{0}},
      {PagingMode::kLegacy32, kRootAt, 0x1'0000'0000, ~uint64_t{0}},
  };
  for (const auto& c : kCases) {
    paging(c.mode, c.root);
    for (const uint64_t va : {c.first_bad, c.last_bad}) {
      const Translation t = mmu.miss(cpu, Gva(va), kRead);
      EXPECT_EQ(t.outcome, Outcome::kGuestFault);
      EXPECT_EQ(t.error_code, pf::kNonCanonical);
    }
    EXPECT_NE(mmu.miss(cpu, Gva(c.first_bad - 1), kRead).error_code, pf::kNonCanonical);
    if (c.last_bad != ~uint64_t{0}) {
      EXPECT_NE(mmu.miss(cpu, Gva(c.last_bad + 1), kRead).error_code, pf::kNonCanonical);
    }
  }
}

}  // namespace
}  // namespace gnomon

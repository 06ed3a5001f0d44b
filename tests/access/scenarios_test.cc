// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/access/machine.h"
#include "tests/access/backends.h"
#include "tests/naive/naive_mmu.h"

// Short histories in which a shadow pager that looks at one address at a time goes wrong: tables shared
// by two paths, registers that change between fill and use, entries filled ahead. Each was a bug of a
// real hypervisor once (the six extra scenarios of the access test of kvm-unit-tests, and more).

namespace gnomon::access_test {
namespace {

constexpr uint64_t kP = 1, kW = 2, kU = 4, kA = 0x20, kD = 0x40, kPS = 0x80;
constexpr uint64_t kNX = uint64_t{1} << 63;
constexpr uint64_t kPD = 0x10'000, kPT = 0x11'000, kPT2 = 0x12'000;  // tables the scenarios place
constexpr uint64_t kPage1 = 0x60'0000, kPage2 = 0x80'0000;           // both 2M-aligned

class Scenario : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto machine = Machine::create(GetParam(), CpuModel{});
    if (absl::IsNotFound(machine.status())) GTEST_SKIP() << machine.status().message();
    ASSERT_TRUE(machine.ok()) << machine.status();
    machine_ = *std::move(machine);
    controls_ = {.nxe = true, .wp = true};
    machine_->set_controls(PagingMode::kLevel4, controls_);
    machine_->load_cr3(kRoot);
  }
  void TearDown() override {
    if (machine_ == nullptr) return;
    for (const AuditFinding& f : machine_->backend().audit()) ADD_FAILURE() << f.text;
  }

  void controls(const ControlSet& c) {
    controls_ = c;
    machine_->set_controls(PagingMode::kLevel4, c);
  }
  void store(uint64_t at, uint64_t value) { machine_->store(Gpa(at), value); }
  static uint64_t at(uint64_t table, uint64_t va, unsigned level) {
    return table + (va >> (12 + 9 * (level - 1)) & 0x1ff) * 8;
  }
  uint64_t entry(uint64_t where) { return machine_->entry(Gpa(where)); }
  void invlpg(uint64_t va) { machine_->backend().invlpg(machine_->cpu(), Gva(va)); }

  /// Points `va` at the page directory `pd` with the rights `pdpte` gives: PML4E and PDPTE.
  void map_upper(uint64_t va, uint64_t pd, uint64_t pdpte, uint64_t pdpt) {
    store(at(kRoot, va, 4), pdpt | kP | kW | kU | kA);
    store(at(pdpt, va, 3), pd | pdpte);
  }

  /// One access: must end as the model says, and leave every entry on its way as the model leaves it.
  Translation access(uint64_t va, AccessOp op, Privilege by) {
    const Access how{op, by};
    const NaiveResult expected = NaiveMmu(machine_->p2m())
                                     .translate(machine_->controls(), machine_->cpu().cpu, Gva(va), how, false);
    const Translation got = machine_->access(Gva(va), how);
    EXPECT_EQ(difference(expected, got, machine_->p2m()), "") << to_string(how);
    for (unsigned i = 0; i < expected.update_count; ++i) {
      const NaiveResult::Update& u = expected.updates[i];
      EXPECT_EQ(machine_->entry(u.at), u.after) << "flags at level " << int{u.level};
    }
    return got;
  }
  uint32_t fault(uint64_t va, AccessOp op, Privilege by) {
    const Translation t = access(va, op, by);
    return t.outcome == Outcome::kGuestFault ? t.error_code : ~0u;
  }
  bool reaches(uint64_t va, AccessOp op, Privilege by) { return access(va, op, by).ok(); }

  static constexpr auto kRead = AccessOp::kRead;
  static constexpr auto kWrite = AccessOp::kWrite;
  static constexpr auto kFetch = AccessOp::kFetch;
  static constexpr auto kUser = Privilege::kUser;
  static constexpr auto kKernel = Privilege::kSupervisor;

  std::unique_ptr<Machine> machine_;
  ControlSet controls_;
};

// The same large page through two directories, one read-only: the second mapping must stay read-only.
TEST_P(Scenario, LargePageReadOnlyAndWritable) {
  const uint64_t va1 = 0xffff'9234'0000'0000, va2 = 0xffff'e666'0000'0000;
  map_upper(va1, kPD, kP | kW | kU, 0x2000);
  map_upper(va2, kPD + 0x4000, kP | kW | kU, 0x3000);
  store(at(kPD + 0x4000, va2, 2), kPage1 | kP | kPS);
  EXPECT_TRUE(reaches(va2, kRead, kKernel));
  store(at(kPD, va1, 2), kPage1 | kP | kW | kPS);
  EXPECT_TRUE(reaches(va1, kRead, kKernel));
  EXPECT_TRUE(reaches(va1, kWrite, kKernel));
  EXPECT_EQ(fault(va2, kWrite, kKernel), pf::kPresent | pf::kWrite);
  EXPECT_EQ(entry(at(kPD + 0x4000, va2, 2)) & kD, 0u);
}

// Entries filled ahead next to the one that missed must not change the error code of their own fault:
// here an execute-disable that is reserved because EFER.NXE is clear.
TEST_P(Scenario, EntryFilledAheadKeepsItsErrorCode) {
  controls({.nxe = false, .wp = true});
  const uint64_t va1 = 0xffff'9234'0600'1000, va2 = 0xffff'9234'0600'3000;
  map_upper(va1, kPD, kP | kW | kU, 0x2000);
  store(at(kPD, va1, 2), kPT | kP);
  store(at(kPT, va1, 1), kPage1 | kP);
  store(at(kPT, va2, 1), kPage1 | kP | kNX);
  EXPECT_TRUE(reaches(va1, kRead, kKernel));
  EXPECT_EQ(fault(va2, kRead, kKernel), pf::kPresent | pf::kReserved);
  EXPECT_EQ(fault(va2, kFetch, kUser), pf::kPresent | pf::kReserved | pf::kUser);
}

// A page filled ahead has no accessed flag until it is used.
TEST_P(Scenario, EntryFilledAheadIsNotAccessed) {
  const uint64_t va1 = 0xffff'9234'0600'1000;
  map_upper(va1, kPD, kP | kW | kU, 0x2000);
  store(at(kPD, va1, 2), kPT | kP | kW | kU);
  for (uint64_t i = 0; i < 16; ++i) store(kPT + 8 * i, (kPage1 + (i << 12)) | kP | kW | kU | kD);
  EXPECT_TRUE(reaches(va1, kRead, kUser));
  for (uint64_t i = 0; i < 16; ++i) EXPECT_EQ(entry(kPT + 8 * i) & kA, i == 1 ? kA : 0u) << i;
}

// CR0.WP = 0 lets the kernel write through one read-only large mapping; the dirty flag of another
// mapping of the same page must still be seen by its own first write.
TEST_P(Scenario, DirtyFlagOfLargePageWithoutWriteProtection) {
  controls({.nxe = true, .wp = false});
  const uint64_t va1 = 0xffff'9234'0300'0000, va2 = 0xffff'e666'0606'0000;
  map_upper(va1, kPD, kP | kW | kU, 0x2000);
  map_upper(va2, kPD + 0x4000, kP | kW | kU, 0x3000);
  store(at(kPD + 0x4000, va2, 2), kPage2 | kP | kPS);
  EXPECT_TRUE(reaches(va2, kRead, kKernel));
  store(at(kPD, va1, 2), kPage2 | kP | kPS);
  EXPECT_TRUE(reaches(va1, kWrite, kKernel));
  EXPECT_EQ(entry(at(kPD, va1, 2)) & kD, kD);
  EXPECT_EQ(entry(at(kPD + 0x4000, va2, 2)) & kD, 0u);
  EXPECT_TRUE(reaches(va2, kWrite, kKernel));
  EXPECT_EQ(entry(at(kPD + 0x4000, va2, 2)) & kD, kD);
}

// A supervisor write to a read-only user page under WP = 0 may be served by an entry of other rights;
// SMEP must still see a user page.
TEST_P(Scenario, SmepAfterWriteWithoutWriteProtection) {
  for (const bool wp : {false, true}) {
    controls({.nxe = true, .wp = wp, .smep = true});
    const uint64_t va = 0xffff'9234'0600'1000;
    map_upper(va, kPD, kP | kW | kU, 0x2000);
    store(at(kPD, va, 2), kPT | kP | kU | kA);
    store(at(kPT, va, 1), kPage1 | kP | kU | kA);
    invlpg(va);
    if (wp) {
      EXPECT_EQ(fault(va, kWrite, kKernel), pf::kPresent | pf::kWrite);
    } else {
      EXPECT_TRUE(reaches(va, kWrite, kKernel));
    }
    EXPECT_EQ(fault(va, kFetch, kKernel), pf::kPresent | pf::kFetch);
    EXPECT_TRUE(reaches(va, kFetch, kUser));
    EXPECT_TRUE(reaches(va, kRead, kUser));
    EXPECT_EQ(fault(va, kWrite, kUser), pf::kPresent | pf::kWrite | pf::kUser);
  }
}

// CR0.WP toggled with no invalidation between: each write obeys the value of its own time.
TEST_P(Scenario, WriteProtectionToggles) {
  const uint64_t va = 0xffff'9234'4200'7000;
  map_upper(va, kPD, kP | kW | kU, 0x2000);
  store(at(kPD, va, 2), kPT | kP | kA);
  store(at(kPT, va, 1), kPage1 | kP | kA);
  for (int turn = 0; turn < 6; ++turn) {
    const bool wp = turn % 2 != 0;
    // Through the other value first, and EFER.NXE there and back, as code that caches modes dislikes.
    controls({.nxe = false, .wp = !wp});
    controls({.nxe = true, .wp = !wp});
    controls({.nxe = false, .wp = wp});
    if (wp) {
      EXPECT_EQ(fault(va, kWrite, kKernel), pf::kPresent | pf::kWrite) << turn;
    } else {
      EXPECT_TRUE(reaches(va, kWrite, kKernel)) << turn;
    }
    EXPECT_TRUE(reaches(va, kRead, kKernel)) << turn;
  }
}

// SMEP, SMAP and keys toggled with no invalidation between, on one user page.
TEST_P(Scenario, PrivilegeControlsToggle) {
  const uint64_t va = 0x7f00'0000'1000;
  map_upper(va, kPD, kP | kW | kU, 0x2000);
  store(at(kPD, va, 2), kPT | kP | kW | kU);
  store(at(kPT, va, 1), kPage1 | kP | kW | kU | uint64_t{3} << 59);
  for (unsigned turn = 0; turn < 32; ++turn) {
    controls({.nxe = true, .wp = true, .pke = (turn & 1) != 0, .smep = (turn & 2) != 0,
              .smap = (turn & 4) != 0});
    machine_->set_step((turn & 8) != 0, (turn & 16) != 0 ? 0x40u : 0x80u);
    for (const Privilege by : {kUser, kKernel, Privilege::kImplicit}) {
      for (const AccessOp op : {kRead, kWrite, kFetch}) {
        if (by != Privilege::kImplicit || op != kFetch) access(va, op, by);
      }
    }
  }
}

// One page directory under two pointers of different rights:
//   PML4 -> pdpte1 (uw) -> pmd1 (u-) -> pte1 (uw) -> page1    ptr1: u-
//                       \> pmd2 (uw) -> pte2 (uw) -> page2    ptr2: uw
//        -> pdpte2 (u-) -> the same directory                 ptr3: u-, ptr4: u-
TEST_P(Scenario, SharedDirectoryUnderDifferentRights) {
  const uint64_t ptr1 = 0xffff'9234'8000'0000, ptr2 = ptr1 + 2_MiB;
  const uint64_t ptr3 = ptr1 + 1_GiB, ptr4 = ptr3 + 2_MiB;
  map_upper(ptr1, kPD, kP | kW | kU, 0x2000);
  map_upper(ptr3, kPD, kP | kU, 0x2000);
  store(at(kPD, ptr1, 2), kPT | kP | kU | kA);
  store(at(kPD, ptr2, 2), kPT2 | kP | kW | kU | kA);
  store(at(kPT, ptr1, 1), kPage1 | kP | kW | kU | kA);
  store(at(kPT2, ptr2, 1), kPage2 | kP | kW | kU | kA | kD);
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_TRUE(reaches(ptr1, kRead, kUser));
    EXPECT_TRUE(reaches(ptr2, kWrite, kUser));
    EXPECT_TRUE(reaches(ptr3, kRead, kUser));
    EXPECT_EQ(fault(ptr4, kWrite, kUser), pf::kPresent | pf::kWrite | pf::kUser);
    EXPECT_EQ(fault(ptr1, kWrite, kUser), pf::kPresent | pf::kWrite | pf::kUser);
  }
}

// One page table reached from a user and from a supervisor directory entry, and with and without
// execute-disable above.
TEST_P(Scenario, SharedPageTableUnderDifferentRights) {
  const uint64_t base = 0x7f00'0000'0000;
  map_upper(base, kPD, kP | kW | kU, 0x2000);
  const uint64_t rights[] = {kU | kW, kU, kW, 0, kU | kW | kNX, kNX};
  for (uint64_t i = 0; i < std::size(rights); ++i) store(kPD + 8 * i, kPT | kP | rights[i]);
  store(kPT, kPage1 | kP | kW | kU);
  for (int turn = 0; turn < 2; ++turn) {
    for (uint64_t i = 0; i < std::size(rights); ++i) {
      for (const AccessOp op : {kRead, kWrite, kFetch}) {
        for (const Privilege by : {kUser, kKernel}) access(base + i * 2_MiB, op, by);
      }
    }
  }
}

// Tables that contain themselves: the last PML4 entry points to the PML4.
TEST_P(Scenario, SelfReferencingTables) {
  const uint64_t va = 0x7f00'0000'1000;
  map_upper(va, kPD, kP | kW | kU, 0x2000);
  store(at(kPD, va, 2), kPT | kP | kW | kU);
  store(at(kPT, va, 1), kPage1 | kP | kW | kU);
  store(kRoot + 511 * 8, kRoot | kP | kW);
  const uint64_t pml4 = 0xffff'ffff'ffff'f000;
  const uint64_t pt = 0xffff'ff80'0000'0000 | (va >> 9 & 0x7f'ffff'f000);
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_TRUE(reaches(va, kWrite, kUser));
    EXPECT_TRUE(reaches(pml4, kRead, kKernel));
    EXPECT_TRUE(reaches(pml4, kWrite, kKernel));
    EXPECT_TRUE(reaches(pt + 8, kRead, kKernel));
    EXPECT_EQ(access(pt + 8, kRead, kKernel).gpa, Gpa(kPT + 8));
    EXPECT_EQ(fault(pt + 8, kRead, kUser), pf::kPresent | pf::kUser);
  }
  // The guest takes a page away from itself and the large-page bit means nothing at level 4.
  store(at(kPT, va, 1), 0);
  invlpg(va);
  EXPECT_EQ(fault(va, kRead, kUser), pf::kUser);
  store(kRoot + 511 * 8, kRoot | kP | kW | kPS);
  invlpg(pml4);
  EXPECT_EQ(fault(pml4, kRead, kKernel), pf::kPresent | pf::kReserved);
}

// INVLPG names one address of a large page; every piece that the hardware keeps of it must go. Either a
// TLB is told that it has a piece, or it is flushed when the directory entry changes.
TEST_P(Scenario, InvlpgReachesEveryPieceOfALargePage) {
  const uint64_t va = 0x7f00'0060'0000;
  map_upper(va, kPD, kP | kW | kU, 0x2000);
  store(at(kPD, va, 2), kPage1 | kP | kW | kU | kPS);
  invlpg(va);
  const Translation piece = access(va + 0x5000, kRead, kUser);
  std::atomic<bool>& flush_requested = machine_->cpu().gate.flush_request;
  flush_requested.store(false);
  store(at(kPD, va, 2), kPage2 | kP | kW | kU | kPS);
  invlpg(va);
  EXPECT_TRUE(piece.size == PageSize::k2M || piece.splintered || flush_requested.load());
  EXPECT_EQ(access(va + 0x5000, kRead, kUser).gpa, Gpa(kPage2 + 0x5000));
  EXPECT_EQ(access(va, kRead, kUser).gpa, Gpa(kPage2));
}

// A page table that stops being one, and a page that becomes one: PS set and cleared.
TEST_P(Scenario, LargePageBecomesTableAndBack) {
  const uint64_t va = 0x7f00'0060'3000;
  map_upper(va, kPD, kP | kW | kU, 0x2000);
  for (int turn = 0; turn < 3; ++turn) {
    store(at(kPD, va, 2), kPage1 | kP | kW | kU | kPS);
    invlpg(va);
    EXPECT_TRUE(reaches(va, kWrite, kUser));
    EXPECT_EQ(access(va, kRead, kUser).gpa, Gpa(kPage1 + 0x3000));
    // The first frame of that page becomes the page table that maps the address.
    store(kPage1 + 8 * 3, kPage2 | kP | kU);
    store(at(kPD, va, 2), kPage1 | kP | kW | kU);
    invlpg(va);
    EXPECT_EQ(access(va, kRead, kUser).gpa, Gpa(kPage2));
    EXPECT_EQ(fault(va, kWrite, kUser), pf::kPresent | pf::kWrite | pf::kUser);
    store(kPage1 + 8 * 3, 0);
    invlpg(va);
    EXPECT_EQ(fault(va, kRead, kUser), pf::kUser);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Scenario, testing::ValuesIn(backends_under_test()),
                         [](const auto& test) { return test_name(test.param); });

}  // namespace
}  // namespace gnomon::access_test

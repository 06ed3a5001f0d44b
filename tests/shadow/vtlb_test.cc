// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "tests/shadow/fixture.h"

// The virtual TLB: one vCPU's tables as a big TLB, emptied by the guest's flushes.

namespace gnomon::shadow_test {
namespace {

uint64_t faults_of(Machine& m, std::initializer_list<uint64_t> addresses) {
  m.mark();
  for (const uint64_t va : addresses) EXPECT_TRUE(m.touch(va).ok());
  return m.since(Counter::kHiddenFaults);
}

TEST(Vtlb, Cr3LoadDropsAllButGlobalPages) {
  Machine m("vtlb", {.cr4 = cr4::kPGE});
  for (uint64_t i = 0; i < 6; ++i)
    m.map(i << 12, 0x5000 + (i << 12), kUsed | (i % 2 != 0 ? kG : 0));
  m.map(0x40'0000, 0x40'0000, kUsed | kG, k2M);
  m.map(0x60'0000, 0x60'0000, kUsed, k2M);
  EXPECT_EQ(faults_of(m, {0x0, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x40'3000, 0x60'3000}), 8u);
  EXPECT_EQ(faults_of(m, {0x0, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x40'3000, 0x60'3000}), 0u);
  m.flush();
  EXPECT_EQ(faults_of(m, {0x1000, 0x3000, 0x5000, 0x40'3000}), 0u);
  EXPECT_EQ(faults_of(m, {0x0, 0x2000, 0x4000, 0x60'3000}), 4u);
  EXPECT_EQ(m.since(Counter::kShadowFills), 4u);
  m.expect_sound();
  m.set_cr4(cr4::kPGE, false);
  EXPECT_EQ(faults_of(m, {0x1000, 0x3000, 0x5000}), 3u);
  m.flush();
  EXPECT_EQ(m.mmu->table_bytes(), 0u);  // nothing is global any more
}

TEST(Vtlb, GuestTableWritesAreFreeUntilTheFlush) {
  Machine m("vtlb");
  m.map(0x1000, 0x5000, kUsed);
  m.map(0x4000'0000, m.table_at(0x1000, 1).value(), kUsed);
  m.expect_mapped(0x1000, 0x5000);
  m.guest_store(0x4000'0008, 0x6000 | kUsed);
  m.mark();
  m.guest_store(0x4000'0008, 0x7000 | kUsed);
  EXPECT_EQ(m.since(Counter::kExitPageFault) + m.since(Counter::kExitTableWrite), 0u);
  m.expect_mapped(0x1000, 0x5000);
  m.invlpg(0x1fff);
  EXPECT_EQ(m.since(Counter::kExitInvlpg), 1u);
  m.expect_mapped(0x1000, 0x7000);
}

struct Splintered {
  absl::string_view name;
  PagingMode mode;
  PageSize guest, host;
};

class VtlbPieces : public ::testing::TestWithParam<Splintered> {};

TEST_P(VtlbPieces, InvlpgOfAnyAddressDropsAll) {
  const Splintered& c = GetParam();
  const bool giant = c.guest == PageSize::k1G;
  Machine m("vtlb", {.mode = c.mode,
                     .ram = {.backing = c.host},
                     .ram_bytes = giant ? 1_GiB : 32_MiB,
                     .host_bytes = giant ? 3_GiB : 96_MiB});
  const uint64_t va = 0x4000'0000, gpa = giant ? 0 : 0x80'0000, bytes = bytes_of(c.guest);
  m.map(va, gpa, kUsed, c.guest);
  m.map(va + bytes, 0x5000 & ~(bytes - 1), kUsed, c.guest);  // a neighbour
  m.flush();
  const uint64_t pieces[] = {0, 0x1000, bytes / 2 - 0x1000, bytes / 2, bytes - 0x1000};
  for (const uint64_t at :
       {uint64_t{0}, uint64_t{0x3000}, bytes / 4, bytes / 2 + 0x5000, bytes - 1}) {
    for (const uint64_t p : pieces) m.expect_mapped(va + p, gpa + p, kWrite);
    ASSERT_TRUE(m.touch(va + bytes + 0x2000).ok());
    EXPECT_EQ(
        faults_of(m, {va, va + 0x1000, va + bytes / 2, va + bytes - 0x1000, va + bytes + 0x2000}),
        0u);
    EXPECT_TRUE(m.touch(va).splintered);
    m.invlpg(va + at);
    EXPECT_EQ(faults_of(m, {va + bytes + 0x2000}), 0u);
    // Every piece is gone: each faults again, though a neighbouring piece was filled just before.
    m.mark();
    for (const uint64_t p : pieces) m.expect_mapped(va + p, gpa + p);
    std::set<uint64_t> entries;
    for (const uint64_t p : pieces) entries.insert(p >> shift_of(c.host));
    EXPECT_EQ(m.since(Counter::kHiddenFaults), entries.size());
    EXPECT_EQ(m.since(Counter::kSplintered), m.since(Counter::kHiddenFaults));
    m.expect_sound();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, VtlbPieces,
    ::testing::Values(
        Splintered{"TwoMegOnSmall", PagingMode::kLevel4, k2M, PageSize::k4K},
        Splintered{"OneGigOnSmall", PagingMode::kLevel4, PageSize::k1G, PageSize::k4K},
        Splintered{"OneGigOnTwoMeg", PagingMode::kLevel4, PageSize::k1G, k2M},
        Splintered{"FourMegOnSmall", PagingMode::kLegacy32, PageSize::k4M, PageSize::k4K},
        Splintered{"FourMegOnTwoMeg", PagingMode::kLegacy32, PageSize::k4M, k2M},
        Splintered{"PaeTwoMeg", PagingMode::kPae, k2M, PageSize::k4K}),
    [](const auto& i) { return std::string(i.param.name); });

TEST(Vtlb, BudgetStartsOverAndStaysRight) {
  for (const uint64_t budget : {uint64_t{1}, 8_KiB, 32_KiB, 64_KiB, 256_KiB}) {
    Machine m(absl::StrCat("vtlb:budget=", budget));
    for (uint64_t i = 0; i < 40; ++i) m.map(i * 0x4020'1000, 0x5000 + (i << 12));
    Random random(budget);
    for (unsigned step = 0; step < 500; ++step) {
      m.expect_agrees(random.below(40) * 0x4020'1000, random.below(2) != 0 ? kRead : kWrite);
      ASSERT_LE(m.mmu->table_bytes(), budget);
    }
    // A path needs four tables of 8 KiB with their bookkeeping.
    EXPECT_EQ(m.total()[Counter::kEmulatedAccesses] != 0, budget < 32_KiB);
    EXPECT_GT(m.total()[Counter::kShadowPagesRecycled], 10u);
  }
}

TEST(Vtlb, HostChangeDropsEverything) {
  Machine m("vtlb", {.cpus = 2, .cr4 = cr4::kPGE});
  for (uint64_t i = 0; i < 4; ++i) m.map(i << 12, 0x5000 + (i << 12), kUsed | kG);
  for (const unsigned cpu : {1u, 0u}) {
    m.on(cpu);
    EXPECT_EQ(faults_of(m, {0x0, 0x1000, 0x2000, 0x3000}), 4u);  // nothing is shared
    m.cpu().gate.flush_request.store(false);
  }
  ASSERT_TRUE(m.p2m.remap(Gpa(0x6000)).ok());
  EXPECT_EQ(m.mmu->table_bytes(), 0u);
  EXPECT_EQ(m.total()[Counter::kTlbFlushRequests], 1u);
  for (const unsigned cpu : {0u, 1u}) {
    m.on(cpu);
    EXPECT_TRUE(m.cpu().gate.flush_request.load());
    m.expect_mapped(0x1000, 0x6000);
    EXPECT_EQ(faults_of(m, {0x0, 0x2000, 0x3000}), 3u);
  }
}

TEST(Vtlb, InvpcidOfTheCurrentAndOfOthers) {
  struct Case {
    InvpcidType type;
    uint16_t pcid;
    uint64_t plain, other, global;  // faults after it
  };
  for (const Case& c :
       {Case{InvpcidType::kAddress, 1, 1, 0, 0}, Case{InvpcidType::kAddress, 2, 0, 0, 0},
        Case{InvpcidType::kContext, 1, 1, 1, 0}, Case{InvpcidType::kContext, 2, 0, 0, 0},
        Case{InvpcidType::kAllWithGlobals, 0, 1, 1, 1}, Case{InvpcidType::kAll, 0, 1, 1, 0}}) {
    SCOPED_TRACE(absl::StrCat(static_cast<int>(c.type), " ", c.pcid));
    Machine m("vtlb", {.cr4 = cr4::kPGE | cr4::kPCIDE});
    m.map(0x1000, 0x5000, kUsed);
    m.map(0x2000, 0x6000, kUsed);
    m.map(0x3000, 0x7000, kUsed | kG);
    m.switch_to(m.first_root(), 1);
    EXPECT_EQ(faults_of(m, {0x1000, 0x2000, 0x3000}), 3u);
    m.invpcid(c.type, c.pcid, 0x1000);
    EXPECT_EQ(faults_of(m, {0x1000}), c.plain);
    EXPECT_EQ(faults_of(m, {0x2000}), c.other);
    EXPECT_EQ(faults_of(m, {0x3000}), c.global);
  }
}

}  // namespace
}  // namespace gnomon::shadow_test

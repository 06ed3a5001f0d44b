// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"

#include "gnomon/tlb/presets.h"
#include "gnomon/vcpu.h"

// Corners that were wrong once, one story each.

namespace gnomon::shadow_test {
namespace {

TEST(Corners, AgileSwitchIsNoPageThatSmapCouldForbid) {
  Machine m("agile:writes=2", {.cr4 = cr4::kSMAP | cr4::kSMEP});
  constexpr uint64_t kKernel = kP | kW | pte::kAccessed | pte::kDirty;
  m.map(0x1000, 0x5000, kUsed);
  m.map(0x2000, 0x6000, kKernel);
  m.expect_mapped(0x2000, 0x6000, kKernelRead);
  const Gpa unused(m.table_at(0x1000, 1).value() + 8 * 300);
  for (int i = 0; i < 4; ++i) {
    m.touch(0x1000);
    m.store_pte(unused, 0);
  }
  m.expect_mapped(0x2000, 0x6000, kKernelWrite);  // makes the page reachable in nested mode
  m.mark();
  m.expect_mapped(0x2000, 0x6000, kKernelWrite);
  m.expect_mapped(0x2000, 0x6000, kKernelRead);
  EXPECT_EQ(m.since(Counter::kEmulatedAccesses), 0u);
  EXPECT_EQ(m.since(Counter::kExitPageFault) + m.since(Counter::kExitNestedViolation), 0u);
}

TEST(Corners, AgileMapsNothingBeyondTheReachOfNestedTables) {
  Machine m("agile:writes=0", {.model = {.maxphyaddr = 52}});
  constexpr uint64_t kFar = uint64_t{1} << 48;
  ASSERT_TRUE(m.p2m.add_slot(Gpa(kFar), 2_MiB).ok());
  m.map(0x1000, kFar + 0x5000, kUsed);
  m.map(0x2000, 0x5000, kUsed);
  m.expect_mapped(0x1000, kFar + 0x5000);
  m.expect_mapped(0x2000, 0x5000);
  EXPECT_NE(m.touch(0x1000).hpa, m.touch(0x2000).hpa);
  ASSERT_TRUE(m.p2m.balloon(Gpa(kFar + 0x5000)).ok());
  EXPECT_EQ(m.touch(0x1000).cause, HostCause::kBallooned);
  m.expect_mapped(0x2000, 0x5000);
}

TEST(Corners, InvpcidNamesPcidZeroInPaeMode) {
  for (const char* spec : {"shadow", "vtlb"}) {
    Machine m(spec, {.mode = PagingMode::kPae});
    // The four PDPTEs need not start at a page: the low bits of CR3 are no PCID then.
    const Gpa table = m.first_root();
    for (unsigned i = 0; i < 4; ++i) m.store(Gpa(table.value() + 0x20 + 8 * i), 0, 8);
    m.map(0x1000, 0x5000, kUsed);
    m.store(Gpa(table.value() + 0x20), m.peek(table), 8);
    m.switch_to(Gpa(table.value() + 0x20));
    for (const InvpcidType type : {InvpcidType::kAddress, InvpcidType::kContext}) {
      m.map(0x1000, 0x5000, kUsed);
      m.expect_mapped(0x1000, 0x5000);
      m.unmap(0x1000);
      m.invpcid(type, 0, 0x1000);
      m.expect_fault(0x1000, pf::kUser);
    }
  }
}

TEST(Corners, AFrameMayBeMappedFromAnyNumberOfPlaces) {
  Machine m("shadow:prefetch=0");
  constexpr uint64_t kTimes = 6000;
  const auto place = [](uint64_t i) { return 0x4000'0000 + (i << 12); };
  for (uint64_t i = 0; i < kTimes; ++i) {
    m.map(place(i), 0x5000, kUsed);
    m.expect_mapped(place(i), 0x5000);
  }
  const shadow::PageCache& pages = m.shadow().pages();
  const auto mappings = [&] {
    return pages.lists().length(pages.small_map(m.p2m.frame_index(Gpa(0x5000))));
  };
  EXPECT_EQ(mappings(), kTimes);
  // None is forgotten, so none of them exits again.
  const uint64_t exits = m.total()[Counter::kExitPageFault];
  for (uint64_t i = 0; i < kTimes; ++i) m.expect_mapped(place(i), 0x5000);
  EXPECT_EQ(m.total()[Counter::kExitPageFault], exits);
  for (uint64_t i = 0; i < kTimes; i += 2) m.unmap(place(i));
  for (uint64_t i = 1; i < kTimes; i += 2) m.expect_mapped(place(i), 0x5000);
  EXPECT_GE(mappings(), kTimes / 2);  // those of tables out of sync go with the next flush
  ASSERT_TRUE(m.p2m.remap(Gpa(0x5000)).ok());
  EXPECT_EQ(mappings(), 0u);
  for (uint64_t i = 1; i < kTimes; i += 2) m.expect_mapped(place(i), 0x5000);
}

TEST(Corners, UnpagedGuestOnLargeHostPagesIsSound) {
  Machine m("shadow", {.mode = PagingMode::kOff, .ram = {.backing = PageSize::k2M}});
  m.expect_mapped(0x20'3000, 0x20'3000, kWrite);
  m.expect_sound();
}

// Both halves of a store that crosses a page belong to translations that hold at the same time, even when
// looking up the second half brings the first half's table back in sync.
TEST(Corners, StoreAcrossPagesSeesWhatTheSecondHalfRevokes) {
  auto host = HostMemory::create(64_MiB).value();
  P2m p2m(*host);
  ASSERT_TRUE(p2m.add_slot(Gpa(0), 4_MiB).ok());
  auto mmu = create_backend("shadow:prefetch=0", p2m).value();
  Vcpu<Backend> cpu(*mmu, p2m, VcpuParts::from(find_tlb_preset("tiny").value()).value());
  const auto put = [&](uint64_t at, uint64_t value) {
    ASSERT_EQ(mmu->write_physical(cpu.state(), Gpa(at), value, 8), StoreResult::kDone);
  };
  // Root 0x1000; L3 0x2000; two L2s that share the leaf table F at 0x5000; F maps itself.
  constexpr uint64_t kFlags = kUsed;
  put(0x1000, 0x2000 | kFlags);
  put(0x2000, 0x3000 | kFlags);
  put(0x2008, 0x4000 | kFlags);
  put(0x3000, 0x5000 | kFlags);
  put(0x4000, 0x5000 | kFlags);
  put(0x5000, 0x5000 | kFlags);  // va 0x0 and 0x40000000: F itself
  put(0x5008, 0x6000 | kFlags);  // va 0x1000: a data page
  put(0x5ff8, 0x7000 | kFlags);  // va 0x1ff000
  ASSERT_TRUE(cpu.write_controls(cr0::kPE | cr0::kPG | cr0::kWP, cr4::kPAE, efer::kLME | efer::kNXE));
  ASSERT_TRUE(cpu.write_cr3(0x1000));
  const Access write{AccessOp::kWrite, Privilege::kUser};
  ASSERT_TRUE(cpu.access(Gva(0x0), write).ok());
  // Four bytes into F's last entry and four into the page behind it.
  const uint64_t value = 0x0123'4567'8000'0000;
  const auto done = cpu.store(Gva(0xffc), 8, value, write);
  ASSERT_TRUE(done.done());
  EXPECT_EQ(load_bytes(p2m.ram_at(Gpa(0x5ffc)), 4), value & 0xffff'ffff);
  EXPECT_EQ(load_bytes(p2m.ram_at(Gpa(0x6000)), 4), value >> 32);
  for (const AuditFinding& f : mmu->audit()) ADD_FAILURE() << f.invariant << ": " << f.text;
  cpu.invlpg(Gva(0x1ff000));
  EXPECT_FALSE(cpu.access(Gva(0x1ff000), {AccessOp::kFetch, Privilege::kUser}).ok());
}

}  // namespace
}  // namespace gnomon::shadow_test

// SPDX-License-Identifier: Apache-2.0
#include "tests/direct/fixture.h"

// Validation in place, and back; what the hardware and the guest see; what it costs.

namespace gnomon::direct_test {
namespace {

using direct::FrameType;

TEST_F(DirectTest, TablesHoldHostAddressesAndReadAsTheGuestWroteThem) {
  build_tree();
  const std::string written = bytes(1) + bytes(2) + bytes(3) + bytes(4);
  turn_paging_on(1);
  EXPECT_EQ(type(1), FrameType::kL4);
  EXPECT_EQ(type(2), FrameType::kL3);
  EXPECT_EQ(type(3), FrameType::kL2);
  EXPECT_EQ(type(4), FrameType::kL1);
  EXPECT_EQ(type(16), FrameType::kWritable);
  EXPECT_EQ(in_place(4, 0) & pte::kFrameMask, p2m_->lookup(Gpa::from_frame(16)).frame().value());
  EXPECT_NE(in_place(4, 0), entry(16, kP | kW | kU));
  EXPECT_EQ(read(4, 0), entry(16, kP | kW | kU));
  const uint64_t reads = count(Counter::kDirectoryReads);
  uint64_t half = 0;
  ASSERT_TRUE(mmu_->read_physical(cpu_, Gpa(4 << 12 | 4), 8, half));
  EXPECT_EQ(half, entry(4, kP | kU) << 32);
  EXPECT_EQ(count(Counter::kDirectoryReads), reads + 1);
  load_cr3(200);  // an empty root
  mmu_->drop_caches();
  EXPECT_TRUE(bytes(1) + bytes(2) + bytes(3) + bytes(4) == written);
  for (uint64_t f = 1; f <= 16; ++f) EXPECT_EQ(type(f), FrameType::kNone) << f;
}

TEST_F(DirectTest, ADestroyedBackendLeavesTheGuestsBytes) {
  build_tree();
  const std::string written = state();
  turn_paging_on(1);
  EXPECT_TRUE(state() != written);
  mmu_->detach(cpu_);
  mmu_ = std::make_unique<DirectMmu>(*p2m_);
  cpu_.controls = Controls{};
  cpu_.update_rules();
  mmu_->attach(cpu_);
  EXPECT_TRUE(state() == written);
}

TEST_F(DirectTest, AFullWalkIsFourReferencesAndSetsFlagsInPlace) {
  boot_tree();
  cpu_.counters.reset();
  std::vector<WalkReference> log;
  cpu_.log = &log;
  const Translation t = touch(0x123, kUserWrite);
  cpu_.log = nullptr;
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t.gpa, Gpa(16 << 12 | 0x123));
  EXPECT_EQ(t.hpa, p2m_->lookup(t.gpa).frame().with_offset(PageSize::k4K, 0x123));
  EXPECT_EQ(t.rights, kAllRights);
  EXPECT_TRUE(t.cacheable);
  EXPECT_FALSE(t.trapped);
  for (const Counter c : {Counter::kWalkGuestL1, Counter::kWalkGuestL2, Counter::kWalkGuestL3,
                          Counter::kWalkGuestL4}) {
    EXPECT_EQ(count(c), 1u);
  }
  EXPECT_EQ(cpu_.counters.walk_references(), 4u);
  EXPECT_EQ(cpu_.counters.exits(), 0u);
  ASSERT_EQ(log.size(), 4u);
  EXPECT_EQ(log[0].address, uint64_t{1} << 12);
  EXPECT_EQ(log[3].address, uint64_t{4} << 12);
  EXPECT_EQ(read(4, 0), entry(16, kP | kW | kU | kA | kD));
  EXPECT_EQ(read(1, 0), entry(2, kP | kW | kU | kA));
  EXPECT_EQ(in_place(4, 0) & (kA | kD), kA | kD);
}

TEST_F(DirectTest, AGuestFaultGoesThroughTheVmm) {
  boot_tree();
  cpu_.counters.reset();
  const Translation t = touch(0x1000, kUserWrite);  // the L1 table, mapped for reading
  EXPECT_EQ(t.outcome, Outcome::kGuestFault);
  EXPECT_EQ(t.error_code, pf::kPresent | pf::kWrite | pf::kUser);
  EXPECT_EQ(touch(0x5000).error_code, pf::kUser);
  EXPECT_EQ(count(Counter::kExitPageFault), 2u);
  EXPECT_EQ(count(Counter::kReflectedFaults), 2u);
  EXPECT_EQ(count(Counter::kGuestFaults), 2u);
}

TEST_F(DirectTest, StoresUnderClearedWpAreEmulatedAndTrappedOnTables) {
  boot_tree();
  write(4, 2, entry(17, kP | kU));
  Controls c = cpu_.controls;
  c.cr0 &= ~cr0::kWP;
  set_controls(c);
  const Translation table = touch(0x1000, kKernelWrite);
  ASSERT_TRUE(table.ok());
  EXPECT_TRUE(table.trapped);
  EXPECT_FALSE(table.cacheable);
  EXPECT_EQ(table.rights & kRightWrite, 0);
  const Translation page = touch(0x2000, kKernelWrite);
  ASSERT_TRUE(page.ok());
  EXPECT_FALSE(page.trapped);
  EXPECT_FALSE(page.cacheable);
  EXPECT_EQ(count(Counter::kEmulatedAccesses), 2u);
  // The page given out for the store becomes a table: the store must be over first.
  cpu_.gate.flush_request = false;
  EXPECT_EQ(write(3, 9, entry(17, kP)), StoreResult::kDone);
  EXPECT_TRUE(cpu_.gate.flush_request);
}

TEST_F(DirectTest, SharedTablesAreCountedAndGoWithTheirLastUse) {
  boot_tree();
  ASSERT_EQ(write(3, 1, entry(4, kP | kU)), StoreResult::kDone);
  ASSERT_EQ(write(3, 0, 0), StoreResult::kDone);
  EXPECT_EQ(type(4), FrameType::kL1);
  EXPECT_TRUE(touch(2_MiB).ok());
  ASSERT_EQ(write(3, 1, 0), StoreResult::kDone);
  EXPECT_EQ(type(4), FrameType::kNone);
  EXPECT_EQ(type(16), FrameType::kNone);
  EXPECT_EQ(in_place(4, 1), entry(4, kP | kU));
}

TEST_F(DirectTest, ReplacingATableDropsItsWholeTree) {
  boot_tree();
  const uint64_t other = entry(5, kP | kW | kU);
  ASSERT_EQ(write(1, 0, other), StoreResult::kDone);
  for (uint64_t f = 2; f <= 4; ++f) EXPECT_EQ(type(f), FrameType::kNone) << f;
  EXPECT_EQ(type(5), FrameType::kL3);
  EXPECT_EQ(in_place(2, 0), entry(3, kP | kW | kU));
}

TEST_F(DirectTest, ARootMayContainItselfReadOnly) {
  boot_tree();
  ASSERT_EQ(write(1, 511, entry(1, kP)), StoreResult::kDone);
  const auto self = [](uint64_t i3, uint64_t i2, uint64_t i1) {
    return 0xffff'0000'0000'0000 | uint64_t{511} << 39 | i3 << 30 | i2 << 21 | i1 << 12;
  };
  const struct { uint64_t va, frame; } kViews[] = {
      {self(511, 511, 511), 1}, {self(511, 511, 0), 2}, {self(511, 0, 0), 3}, {self(0, 0, 0), 4}};
  for (const auto& view : kViews) {
    const Translation t = touch(view.va, kKernelRead);
    ASSERT_TRUE(t.ok()) << to_string(t);
    EXPECT_EQ(t.gpa, Gpa::from_frame(view.frame));
    EXPECT_TRUE(t.trapped);
    EXPECT_EQ(touch(view.va, kKernelWrite).outcome, Outcome::kGuestFault);
  }
  // A second root cannot share it: once the first is no table any more its entries are guest addresses.
  EXPECT_EQ(write(60, 0, entry(1, kP)), StoreResult::kDone);
  load_cr3(60);
  EXPECT_EQ(touch(0).outcome, Outcome::kHostViolation);
  load_cr3(200);
  mmu_->drop_caches();
  EXPECT_EQ(in_place(1, 511) & pte::kFrameMask, uint64_t{1} << 12);
  EXPECT_EQ(type(1), FrameType::kNone);
}

TEST_F(DirectTest, BatchedUpdatesShareOneHypercall) {
  DirectOptions options;
  options.batch = 4;
  boot(options);
  boot_tree();
  cpu_.counters.reset();
  for (unsigned i = 0; i < 8; ++i) write(4, 10 + i, entry(17, kP));
  EXPECT_EQ(count(Counter::kExitHypercall), 2u);
  write(4, 20, entry(17, kP));
  EXPECT_EQ(count(Counter::kExitHypercall), 2u);
  EXPECT_TRUE(touch(20 * 4096, kKernelRead).ok());  // needs the update that waits
  EXPECT_EQ(count(Counter::kExitHypercall), 3u);
  write(4, 21, 0);
  mmu_->invlpg(cpu_, Gva(21 * 4096));  // carries it
  EXPECT_EQ(count(Counter::kExitHypercall), 4u);
  write(4, 21, 0);
  load_cr3(1);
  EXPECT_EQ(count(Counter::kExitHypercall), 5u);
  write(4, 21, 0);
  read(4, 21);
  EXPECT_EQ(count(Counter::kExitHypercall), 6u);
  read(4, 21);
  EXPECT_EQ(count(Counter::kExitHypercall), 6u);
  write(100, 0, 7);  // no table: no business of the VMM
  touch(0);
  EXPECT_EQ(cpu_.counters.exits(), 6u);
  EXPECT_EQ(count(Counter::kPvUpdates), 12u);
}

TEST_F(DirectTest, ATrappingGuestExitsOnEachStore) {
  DirectOptions options;
  options.trap = true;
  boot(options);
  boot_tree();
  cpu_.counters.reset();
  for (unsigned i = 0; i < 5; ++i) write(4, 10 + i, entry(17, kP));
  load_cr3(1);
  mmu_->invlpg(cpu_, Gva(0));
  EXPECT_EQ(count(Counter::kExitTableWrite), 5u);
  EXPECT_EQ(count(Counter::kTableWritesApplied), 5u);
  EXPECT_EQ(count(Counter::kExitCr3), 1u);
  EXPECT_EQ(count(Counter::kExitInvlpg), 1u);
  EXPECT_EQ(count(Counter::kExitHypercall), 0u);
}

TEST_F(DirectTest, RootsStayPinnedUpToTheLimitLeastRecentFirstOut) {
  DirectOptions options;
  options.pins = 3;
  boot(options);
  boot_tree();
  for (const uint64_t f : {60, 61, 62}) {
    load_cr3(f);
    EXPECT_TRUE(is_table(type(f)));
  }
  EXPECT_EQ(type(1), FrameType::kNone);
  EXPECT_EQ(count(Counter::kPvPinned), 4u);
  load_cr3(60);
  EXPECT_EQ(count(Counter::kRootCacheHits), 1u);
  load_cr3(1);
  EXPECT_EQ(type(61), FrameType::kNone);
  EXPECT_EQ(type(60), FrameType::kL4);
  EXPECT_TRUE(touch(0).ok());
}

TEST_F(DirectTest, BeforePagingIsOnAddressesAreGuestPhysical) {
  const Translation t = touch(0x5008, kKernelWrite);
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t.gpa, Gpa(0x5008));
  EXPECT_EQ(touch(kHoleFrame << 12).outcome, Outcome::kNotBacked);
  EXPECT_EQ(touch(kMmioFrame << 12).cause, HostCause::kMmio);
  EXPECT_EQ(touch(kRomFrame << 12, kKernelWrite).cause, HostCause::kReadOnly);
  EXPECT_EQ(touch(uint64_t{1} << 32).error_code, pf::kNonCanonical);
  // Another vCPU's table is not to be written past the VMM.
  build_tree();
  VcpuState other(1);
  other.controls = level4_controls();
  other.controls.cr3 = 1 << 12;
  other.update_rules();
  cpu_.gate.flush_request = false;
  touch(4 << 12, kKernelWrite);
  mmu_->attach(other);
  EXPECT_TRUE(cpu_.gate.flush_request);
  const Translation table = touch(4 << 12, kKernelWrite);
  EXPECT_TRUE(table.trapped);
  EXPECT_EQ(table.rights & kRightWrite, 0);
  mmu_->detach(other);
}

}  // namespace
}  // namespace gnomon::direct_test

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/cpu/sse_native.h"
#include "tests/native_cpu/flat_machine.h"

namespace gnomon::vmm {
namespace {

using O = SseOpcode;

constexpr O kMoves[] = {
    {0, 0x28},
    {0, 0x29},
    {0x66, 0x28},
    {0x66, 0x29},  // MOVAPS, MOVAPD
    {0, 0x10},
    {0, 0x11},
    {0x66, 0x10},
    {0x66, 0x11},  // MOVUPS, MOVUPD
    {0xf2, 0x10},
    {0xf2, 0x11},
    {0xf3, 0x10},
    {0xf3, 0x11},  // MOVSD, MOVSS
    {0x66, 0x6f},
    {0x66, 0x7f},
    {0xf3, 0x6f},
    {0xf3, 0x7f},  // MOVDQA, MOVDQU
    {0xf3, 0x7e},
    {0x66, 0xd6},  // MOVQ
    {0, 0x12},
    {0, 0x16},
    {0, 0x13, O::kMemory},
    {0, 0x17, O::kMemory},  // halves
    {0x66, 0x12, O::kMemory},
    {0x66, 0x13, O::kMemory},
    {0x66, 0x16, O::kMemory},
    {0x66, 0x17, O::kMemory},
    {0, 0x2b, O::kMemory},
    {0x66, 0x2b, O::kMemory},
    {0x66, 0xe7, O::kMemory},  // not temporal
    {0, 0xe7, O::kMemory, false, O::kMmx},
    {0, 0xc3, O::kMemory, false, O::kToGpr},
    {0x66, 0x6e, O::kRegister, false, O::kFromGpr},
    {0x66, 0x6e, O::kMemory},  // MOVD, MOVQ
    {0x66, 0x7e, O::kRegister, false, O::kFromGpr},
    {0x66, 0x7e, O::kMemory},
    {0, 0x6e, O::kRegister, false, O::kGprToMmx},
    {0, 0x6e, O::kMemory, false, O::kMmx},
    {0, 0x7e, O::kRegister, false, O::kGprToMmx},
    {0, 0x7e, O::kMemory, false, O::kMmx},
    {0, 0x6f, O::kBoth, false, O::kMmx},
    {0, 0x7f, O::kBoth, false, O::kMmx},
    {0xf3, 0xd6, O::kRegister, false, O::kMmxToXmm},
    {0xf2, 0xd6, O::kRegister, false, O::kXmmToMmx},
};

TEST(SseMove, MovesAreTheHosts) { compare_with_host(kMoves, false, 6, 400); }

// The vector of what `code` raises with these bits in CR0 and CR4; 0: nothing.
unsigned raised(std::vector<uint8_t> code, uint64_t cr0_set, uint64_t cr4_clear = 0,
                uint64_t rsi = FlatMachine::kData) {
  FlatMachine m(CodeKind::kLong64);
  m.load(code);
  Cpu& cpu = m.cpu();
  const Controls c = cpu.controls();
  cpu.mmu().write_controls(c.cr0 | cr0_set, c.cr4 & ~cr4_clear, c.efer);
  cpu.mode_changed();
  cpu.gpr[kRsi] = rsi;
  const CpuState before = cpu.snapshot();
  if (m.run(1) == ExitReason::kBudget) return 0;
  EXPECT_TRUE(cpu.snapshot() == before);
  return cpu.exit.fault.vector;
}

TEST(SseMove, ControlRegistersTurnInstructionsOff) {
  constexpr uint64_t kMonitor = 2, kEmulate = 4, kSwitched = 8, kFxsr = 0x200;
  const std::vector<uint8_t> sse = {0x0f, 0x28, 0xc1}, mmx = {0x0f, 0x6f, 0xc1}, x87 = {0xd9, 0xee},
                             wait = {0x9b}, image = {0x0f, 0xae, 0x06}, movnti = {0x0f, 0xc3, 0x06};
  const auto expect = [&](uint64_t set, uint64_t clear, std::vector<unsigned> want) {
    const std::vector<unsigned> got = {raised(sse, set, clear),   raised(mmx, set, clear),
                                       raised(x87, set, clear),   raised(wait, set, clear),
                                       raised(image, set, clear), raised(movnti, set, clear)};
    EXPECT_EQ(got, want) << set << " " << clear;
  };
  expect(0, 0, {0, 0, 0, 0, 0, 0});
  expect(kSwitched, 0, {7, 7, 7, 0, 7, 0});
  expect(kSwitched | kMonitor, 0, {7, 7, 7, 7, 7, 0});
  expect(kMonitor, 0, {0, 0, 0, 0, 0, 0});
  expect(kEmulate, 0, {6, 6, 7, 0, 7, 0});
  expect(kEmulate | kSwitched, 0, {6, 6, 7, 0, 7, 0});
  expect(0, kFxsr, {6, 0, 0, 0, 0, 0});
  expect(kSwitched, kFxsr, {6, 7, 7, 0, 7, 0});
}

TEST(SseMove, AlignedFormsInsistOnAlignment) {
  const uint64_t odd = FlatMachine::kData + 8;
  for (const std::vector<uint8_t>& code :
       std::vector<std::vector<uint8_t>>{{0x0f, 0x28, 0x06},
                                         {0x0f, 0x29, 0x06},
                                         {0x66, 0x0f, 0x6f, 0x06},
                                         {0x66, 0x0f, 0x7f, 0x06},
                                         {0x66, 0x0f, 0xe7, 0x06},
                                         {0x0f, 0x2b, 0x06},
                                         {0x0f, 0x58, 0x06},
                                         {0x66, 0x0f, 0xfc, 0x06},
                                         {0x66, 0x0f, 0x70, 0x06, 0x1b},
                                         {0x0f, 0xc6, 0x06, 0x1b},
                                         {0x0f, 0xc2, 0x06, 0x01}}) {
    EXPECT_EQ(raised(code, 0, 0, odd), unsigned{kGeneralProtection}) << unsigned{code[1]};
    EXPECT_EQ(raised(code, 0), 0u);
  }
  for (const std::vector<uint8_t>& code :
       std::vector<std::vector<uint8_t>>{{0x0f, 0x10, 0x06},
                                         {0x0f, 0x11, 0x06},
                                         {0xf3, 0x0f, 0x6f, 0x06},
                                         {0xf3, 0x0f, 0x7f, 0x06},
                                         {0xf3, 0x0f, 0x58, 0x06},
                                         {0x0f, 0xfc, 0x06},
                                         {0x66, 0x0f, 0x12, 0x06}}) {
    EXPECT_EQ(raised(code, 0, 0, FlatMachine::kData + 0xff9), 0u) << unsigned{code[1]};
  }
}

TEST(SseMove, ATransferThatFaultsChangesNothing) {
  // The last bytes of RAM that are mapped: the second half would be beyond.
  const uint64_t edge = FlatMachine::kRamBytes - 8;
  EXPECT_EQ(raised({0x0f, 0x10, 0x06}, 0, 0, edge), unsigned{kPageFault});
  EXPECT_EQ(raised({0x0f, 0x11, 0x06}, 0, 0, edge), unsigned{kPageFault});
  EXPECT_EQ(raised({0xdb, 0x3e}, 0, 0, edge),
            unsigned{kPageFault});  // fstp m80, of an empty register
  EXPECT_EQ(raised({0xdd, 0x36}, 0, 0, edge), unsigned{kPageFault});  // fnsave
  EXPECT_EQ(raised({0x0f, 0xae, 0x06}, 0, 0, edge - 8), unsigned{kPageFault});
}

TEST(SseMove, MaskedStoresTouchOnlyTheirBytes) {
  FlatMachine m(CodeKind::kLong64);
  m.load(std::vector<uint8_t>{0x66, 0x0f, 0xf7, 0xc1});  // maskmovdqu xmm0, xmm1
  Cpu& cpu = m.cpu();
  cpu.state.xmm[0].q = {0x0706'0504'0302'0100, 0x0f0e'0d0c'0b0a'0908};
  cpu.state.xmm[1].q = {0x8000'0000'0000'ff00, 0x0000'0000'0000'0080};
  // Bytes 1, 7 and 8; the rest lies where nothing is mapped.
  const uint64_t at = FlatMachine::kRamBytes - 9;
  cpu.gpr[kRdi] = at;
  uint8_t* const ram = m.ram(at);
  std::memset(ram, 0xee, 9);
  ASSERT_EQ(m.run(1), ExitReason::kBudget);
  EXPECT_EQ(std::vector<int>(ram, ram + 9),
            (std::vector<int>{0xee, 1, 0xee, 0xee, 0xee, 0xee, 0xee, 7, 8}));
}

}  // namespace
}  // namespace gnomon::vmm

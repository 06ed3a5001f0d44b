// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "tests/cpu/sse_native.h"
#include "tests/native_cpu/flat_machine.h"

namespace gnomon::vmm {
namespace {

using O = SseOpcode;

std::vector<O> arithmetic() {
  std::vector<O> all;
  for (const uint8_t prefix : {0, 0x66, 0xf2, 0xf3}) {
    for (const uint8_t opcode : {0x51, 0x58, 0x59, 0x5a, 0x5c, 0x5d, 0x5e, 0x5f})
      all.push_back({prefix, opcode});
    all.push_back({prefix, 0xc2, O::kBoth, true});
  }
  for (const uint8_t prefix : {0, 0x66}) {
    for (const uint8_t opcode : {0x2e, 0x2f}) all.push_back({prefix, opcode});
  }
  return all;
}

std::vector<O> conversions() {
  std::vector<O> all;
  for (const uint8_t prefix : {0, 0x66, 0xf3}) all.push_back({prefix, 0x5b});
  for (const uint8_t prefix : {0x66, 0xf2, 0xf3}) all.push_back({prefix, 0xe6});
  for (const uint8_t prefix : {0xf2, 0xf3}) {
    all.push_back({prefix, 0x2a, O::kBoth, false, O::kFromGpr});
    all.push_back({prefix, 0x2c, O::kBoth, false, O::kToGpr});
    all.push_back({prefix, 0x2d, O::kBoth, false, O::kToGpr});
  }
  // CVTPI2PS from memory makes some processors enter MMX, and others not.
  all.push_back({0, 0x2a, O::kRegister, false, O::kMmxToXmm});
  all.push_back({0x66, 0x2a, O::kBoth, false, O::kMmxToXmm});
  for (const uint8_t prefix : {0, 0x66}) {
    all.push_back({prefix, 0x2c, O::kBoth, false, O::kXmmToMmx});
    all.push_back({prefix, 0x2d, O::kBoth, false, O::kXmmToMmx});
  }
  return all;
}

TEST(SseFloat, ArithmeticIsTheHosts) { compare_with_host(arithmetic(), true, 1, 800); }
TEST(SseFloat, ConversionsAreTheHosts) { compare_with_host(conversions(), true, 2, 1000); }

// divss xmm0, xmm1 with MXCSR `control`; CR4.OSXMMEXCPT as asked.
struct Divided {
  ExitReason why;
  uint8_t vector;
  uint32_t mxcsr;
  uint64_t result;
};
Divided divide(uint64_t a, uint64_t b, uint32_t control, bool wanted = true) {
  FlatMachine m(CodeKind::kLong64);
  m.load(std::vector<uint8_t>{0xf3, 0x0f, 0x5e, 0xc1});
  Cpu& cpu = m.cpu();
  const Controls& c = cpu.controls();
  cpu.mmu().write_controls(c.cr0, wanted ? c.cr4 | 0x400 : c.cr4 & ~uint64_t{0x400}, c.efer);
  cpu.mode_changed();
  cpu.state.mxcsr = control;
  cpu.state.xmm[0].q[0] = a;
  cpu.state.xmm[1].q[0] = b;
  const ExitReason why = m.run(1);
  return {why, cpu.exit.fault.vector, cpu.state.mxcsr, cpu.state.xmm[0].q[0]};
}

TEST(SseFloat, UnmaskedExceptionsAreRaisedAndChangeOnlyMxcsr) {
  constexpr uint64_t kOne = 0x3f80'0000, kTiny = 0x0080'0000, kTwo = 0x4000'0000,
                     kHuge = 0x7f7f'ffff;
  constexpr uint64_t kHalf = 0x3f00'0000, kThree = 0x4040'0000, kSignalling = 0x7f80'0001;
  struct {
    uint64_t a, b;
    uint32_t unmasked, flags;
  } const kCases[] = {
      {kOne, 0, 0x04, 0x04},  // zero divide
      {0, 0, 0x01, 0x01},     // invalid
      {kSignalling, kOne, 0x01, 0x01},
      {1, kOne, 0x02, 0x02},        // denormal operand
      {kHuge, kHalf, 0x08, 0x28},   // overflow, not exact
      {kTiny, kTwo, 0x10, 0x10},    // underflow that is exact: only unmasked is it one
      {kTiny, kThree, 0x20, 0x30},  // precision; underflow, masked
  };
  for (const auto& t : kCases) {
    const uint32_t control = 0x1f80 & ~(t.unmasked << 7);
    const Divided d = divide(t.a, t.b, control);
    EXPECT_EQ(d.why, ExitReason::kFault) << t.unmasked;
    EXPECT_EQ(unsigned{d.vector}, unsigned{kSimdError});
    EXPECT_EQ(d.mxcsr, control | t.flags);
    EXPECT_EQ(d.result, t.a);
    EXPECT_EQ(unsigned{divide(t.a, t.b, control, false).vector}, unsigned{kInvalidOpcode});
    const Divided masked = divide(t.a, t.b, 0x1f80);
    EXPECT_EQ(masked.why, ExitReason::kBudget);
  }
  EXPECT_EQ(divide(kTiny, kTwo, 0x1f80).mxcsr, 0x1f80u);  // exact, masked: no underflow
}

}  // namespace
}  // namespace gnomon::vmm

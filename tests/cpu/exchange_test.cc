// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>

#include "tests/cpu/comparison.h"

namespace gnomon::vmm {
namespace {

TEST(Exchange, AllFormsAreAsOnTheHost) {
  Comparison both;
  scenario::Random random(10);
  const auto run = [&](std::vector<uint8_t> bytes, bool memory) {
    both.load(bytes, memory);
    for (unsigned i = 0; i < scaled(3000); ++i) {
      Registers in = random_registers(random);
      // What is compared is often equal.
      if (random.percent(50)) in.gpr[kRax] = in.gpr[memory ? kR8 : kRdx];
      ASSERT_TRUE(both.check(in));
    }
  };
  for (const unsigned size : kSizes) {
    for (const bool memory : {false, true}) {
      const uint8_t modrm = memory ? 0x0f : 0xca;  // edx or [rdi], ecx
      run(encode(size, {0x86}, {modrm}), memory);
      run(encode(size, {0x0f, 0xc0}, {modrm}), memory);
      run(encode(size, {0x0f, 0xb0}, {modrm}), memory);
    }
    run(encode(size, {0x0f, 0xc0}, {0xc9}), false);             // xadd ecx, ecx
    run(encode(size, {0x0f, 0xb0}, {0xc8}), false);             // cmpxchg eax, ecx
    if (size > 1) run(encode(size, {0x93}, {}, false), false);  // xchg eax, ebx
  }
  run({0x90}, false);
  run({0x87, 0xc0}, false);  // xchg eax, eax clears the upper half
  run({0x41, 0x90}, false);  // xchg r8d, eax
  run({0xf0, 0x0f, 0xb1, 0x0f}, true);
}

TEST(Exchange, WideComparisonsAreAsOnTheHost) {
  Comparison both;
  scenario::Random random(11);
  for (const bool wide : {false, true}) {
    both.load(encode(wide ? 8 : 4, {0x0f, 0xc7}, {0x0f}, false), true);
    for (unsigned i = 0; i < scaled(5000); ++i) {
      Registers in = random_registers(random);
      if (random.percent(50)) {
        in.gpr[kRax] = in.gpr[kR8];
        in.gpr[kRdx] = wide ? in.gpr[kR9] : in.gpr[kR8] >> 32;
        if (random.percent(20)) in.gpr[kRdx] ^= 1;
      }
      ASSERT_TRUE(both.check(in));
    }
  }
}

TEST(Exchange, WideComparisonNeedsAnAlignedAddress) {
  Comparison both;
  both.load({0x48, 0x0f, 0xc7, 0x4f, 0x08}, true);  // cmpxchg16b [rdi + 8]
  Registers in;
  in.gpr[kRsp] = FlatMachine::kStack;
  in.flags = flag::kZF | flag::kCF;
  const Registers out = both.run(in);
  const Cpu& cpu = both.machine().cpu();
  EXPECT_EQ(cpu.exit.reason, ExitReason::kFault);
  EXPECT_EQ(cpu.exit.fault.vector, kGeneralProtection);
  EXPECT_EQ(out.flags, in.flags);
}

TEST(Exchange, FaultsChangeNothing) {
  Comparison both;
  for (const unsigned size : kSizes) {
    both.expect_fault(encode(size, {0x86}, {0x0f}), true);
    both.expect_fault(encode(size, {0x0f, 0xc0}, {0x0f}), true);
    both.expect_fault(encode(size, {0x0f, 0xb0}, {0x0f}), true);
  }
  both.expect_fault(std::vector<uint8_t>{0x0f, 0xc7, 0x0f}, true);
}

}  // namespace
}  // namespace gnomon::vmm

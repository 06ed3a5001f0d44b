// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "tests/cpu/flat_machine.h"

namespace gnomon::vmm {
namespace {

// What Zydis 4.0 takes for something else than processors do.

TEST(Decode, ScaledIndexWithoutBaseAnd32BitAddress) {
  FlatMachine m(CodeKind::kLong64);
  // lea eax, [ebx*8 + 0x20] with REX.B, which changes nothing: there is no base; ud2
  m.load(std::vector<uint8_t>{0x67, 0x41, 0x8d, 0x04, 0xdd, 0x20, 0, 0, 0, 0x0f, 0x0b});
  m.cpu().gpr[kRbx] = 0x100;
  m.cpu().gpr[kR13] = 0x10000;
  m.run(100);
  EXPECT_EQ(m.cpu().gpr[kRax], 0x820u);
}

TEST(Decode, RepeatedExchangeWithR8IsNoPause) {
  FlatMachine m(CodeKind::kLong64);
  // xchg r8, rax; ud2
  m.load(std::vector<uint8_t>{0xf3, 0x49, 0x90, 0x0f, 0x0b});
  m.cpu().gpr[kRax] = 1;
  m.cpu().gpr[kR8] = 2;
  m.run(100);
  EXPECT_EQ(m.cpu().gpr[kRax], 2u);
  EXPECT_EQ(m.cpu().gpr[kR8], 1u);
}

}  // namespace
}  // namespace gnomon::vmm

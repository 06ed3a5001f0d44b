// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "tests/native_cpu/flat_machine.h"

namespace gnomon::vmm {
namespace {

TEST(Interp, AddsAndStopsAtAnUndefinedInstruction) {
  for (const CodeKind kind : {CodeKind::kFlat32, CodeKind::kLong64}) {
    FlatMachine m(kind);
    // add eax, 5; add eax, ecx; ud2
    m.load(std::vector<uint8_t>{0x83, 0xc0, 0x05, 0x01, 0xc8, 0x0f, 0x0b});
    m.cpu().gpr[kRax] = 10;
    m.cpu().gpr[kRcx] = 0xffff'ffff;
    EXPECT_EQ(m.run(100), ExitReason::kFault);
    EXPECT_EQ(m.cpu().exit.fault.vector, kInvalidOpcode);
    EXPECT_EQ(m.cpu().gpr[kRax], 14u);
    EXPECT_EQ(m.cpu().rip, FlatMachine::kCode + 5);
    EXPECT_EQ(m.cpu().instructions, 2u);
    EXPECT_TRUE(m.cpu().flags.cf());
    EXPECT_FALSE(m.cpu().flags.zf());
  }
}

}  // namespace
}  // namespace gnomon::vmm

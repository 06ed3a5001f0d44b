// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "tests/native_cpu/flat_machine.h"

// Limits of segments: where code is fetched, and where strings go.

namespace gnomon::vmm {
namespace {

using Bytes = std::vector<uint8_t>;

TEST(SegmentChecks, ABlockEndsWhereTheCodeSegmentDoes) {
  FlatMachine m(CodeKind::kFlat32);
  m.load(Bytes{0x83, 0xc0, 0x01, 0x83, 0xc0, 0x02, 0x83, 0xc0, 0x04, 0x0f, 0x0b});
  m.cpu().state.segments[kCs].limit = FlatMachine::kCode + 4;  // in the middle of the second
  m.cpu().mode_changed();
  EXPECT_EQ(m.run(10), ExitReason::kFault);
  EXPECT_EQ(m.cpu().exit.fault.vector, kGeneralProtection);
  EXPECT_EQ(m.cpu().rip, FlatMachine::kCode + 3);
  EXPECT_EQ(m.cpu().gpr[kRax], 1u);
  EXPECT_EQ(m.cpu().instructions, 1u);
}

TEST(SegmentChecks, RepeatedStoresStopAtTheLimit) {
  FlatMachine m(CodeKind::kFlat32);
  m.load(Bytes{0xf3, 0xab});  // rep stosd
  m.cpu().state.segments[kEs].limit = 0x5000 + 41;
  m.cpu().mode_changed();
  m.cpu().gpr[kRdi] = 0x5000;
  m.cpu().gpr[kRcx] = 100;
  m.cpu().gpr[kRax] = 0xffff'ffff;
  EXPECT_EQ(m.run(1000), ExitReason::kFault);
  EXPECT_EQ(m.cpu().exit.fault.vector, kGeneralProtection);
  EXPECT_EQ(m.cpu().gpr[kRcx], 90u);
  EXPECT_EQ(m.cpu().gpr[kRdi], 0x5000u + 40);
  EXPECT_EQ(*m.ram(0x5000 + 39), 0xff);
  EXPECT_EQ(*m.ram(0x5000 + 40), 0);
}

}  // namespace
}  // namespace gnomon::vmm

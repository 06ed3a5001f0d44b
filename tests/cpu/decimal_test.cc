// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <vector>

#include "tests/native_cpu/flat_machine.h"

namespace gnomon::vmm {
namespace {

struct Result {
  unsigned ax;
  bool cf, af;
};

// The manual's pseudo-code.
Result daa(unsigned ax, bool cf, bool af) {
  unsigned al = ax & 0xff;
  const unsigned old_al = al;
  const bool old_cf = cf;
  cf = false;
  if ((al & 15) > 9 || af) {
    cf = old_cf || al + 6 > 255;
    al = (al + 6) & 0xff;
    af = true;
  } else {
    af = false;
  }
  if (old_al > 0x99 || old_cf) {
    al = (al + 0x60) & 0xff;
    cf = true;
  } else {
    cf = false;
  }
  return {(ax & 0xff00) | al, cf, af};
}
Result das(unsigned ax, bool cf, bool af) {
  unsigned al = ax & 0xff;
  const unsigned old_al = al;
  const bool old_cf = cf;
  cf = false;
  if ((al & 15) > 9 || af) {
    cf = old_cf || al < 6;
    al = (al - 6) & 0xff;
    af = true;
  } else {
    af = false;
  }
  if (old_al > 0x99 || old_cf) {
    al = (al - 0x60) & 0xff;
    cf = true;
  }
  return {(ax & 0xff00) | al, cf, af};
}
Result aaa(unsigned ax, bool, bool af) {
  const bool adjusts = (ax & 15) > 9 || af;
  if (adjusts) ax += 0x106;
  return {ax & 0xff0f, adjusts, adjusts};
}
Result aas(unsigned ax, bool, bool af) {
  const bool adjusts = (ax & 15) > 9 || af;
  if (adjusts) {
    ax = (ax - 6) & 0xffff;
    ax = (ax & 0xff) | (((ax >> 8) - 1) & 0xff) << 8;
  }
  return {ax & 0xff0f, adjusts, adjusts};
}

TEST(Decimal, AdjustmentsAreAsTheManualSays) {
  FlatMachine m(CodeKind::kFlat32);
  Cpu& cpu = m.cpu();
  const std::pair<uint8_t, Result (*)(unsigned, bool, bool)> rows[] = {
      {0x27, daa}, {0x2f, das}, {0x37, aaa}, {0x3f, aas}};
  for (const auto& [opcode, model] : rows) {
    m.load({opcode});
    for (unsigned n = 0; n < 4 * 0x10000; n += 3) {
      const unsigned ax = n & 0xffff;
      const bool cf = (n >> 16 & 1) != 0;
      const bool af = n >> 17 != 0;
      cpu.gpr[kRax] = 0xabcd0000 | ax;
      cpu.flags.set((cf ? flag::kCF : 0) | (af ? flag::kAF : 0) | flag::kOF);
      cpu.rip = FlatMachine::kCode;
      ASSERT_EQ(m.run(1), ExitReason::kBudget);
      const Result want = model(ax, cf, af);
      ASSERT_EQ(cpu.gpr[kRax], 0xabcd0000 | (want.ax & 0xffff)) << int{opcode} << " " << n;
      ASSERT_EQ(cpu.flags.cf(), want.cf) << int{opcode} << " " << n;
      ASSERT_EQ(cpu.flags.af(), want.af) << int{opcode} << " " << n;
      if (opcode >= 0x30) continue;  // the other flags are undefined
      const unsigned al = want.ax & 0xff;
      ASSERT_EQ(cpu.flags.zf(), al == 0);
      ASSERT_EQ(cpu.flags.sf(), al >= 0x80);
      ASSERT_EQ(cpu.flags.pf(), std::popcount(al) % 2 == 0);
    }
  }
}

TEST(Decimal, MultiplyAndDivideByABase) {
  FlatMachine m(CodeKind::kFlat32);
  Cpu& cpu = m.cpu();
  for (unsigned base = 0; base < 256; base += 5) {
    for (const uint8_t opcode : {0xd4, 0xd5}) {
      m.load({opcode, static_cast<uint8_t>(base)});
      for (unsigned ax = 0; ax < 0x10000; ax += 97) {
        cpu.gpr[kRax] = ax;
        cpu.rip = FlatMachine::kCode;
        const unsigned al = ax & 0xff;
        const unsigned ah = ax >> 8;
        if (opcode == 0xd4 && base == 0) {
          ASSERT_EQ(m.run(1), ExitReason::kFault);
          ASSERT_EQ(cpu.exit.fault.vector, kDivideError);
          ASSERT_EQ(cpu.gpr[kRax], ax);
          continue;
        }
        ASSERT_EQ(m.run(1), ExitReason::kBudget);
        const unsigned want = opcode == 0xd4 ? al / base << 8 | al % base : (al + ah * base) & 0xff;
        ASSERT_EQ(cpu.gpr[kRax], want) << base << " " << ax;
        ASSERT_EQ(cpu.flags.zf(), (want & 0xff) == 0);
        ASSERT_EQ(cpu.flags.sf(), (want & 0x80) != 0);
      }
    }
  }
}

TEST(Decimal, AreNotIn64BitMode) {
  FlatMachine m(CodeKind::kLong64);
  for (const uint8_t opcode : {0x27, 0x2f, 0x37, 0x3f, 0xd4, 0xd5}) {
    m.load({opcode, 10});
    EXPECT_EQ(m.run(1), ExitReason::kFault);
    EXPECT_EQ(m.cpu().exit.fault.vector, kInvalidOpcode);
  }
}

TEST(Decimal, Bound) {
  FlatMachine m(CodeKind::kFlat32);
  Cpu& cpu = m.cpu();
  const int32_t bounds[] = {-3, 7};
  std::memcpy(m.ram(FlatMachine::kData), bounds, sizeof bounds);
  const int16_t narrow[] = {-3, 7};
  std::memcpy(m.ram(FlatMachine::kData + 64), narrow, sizeof narrow);
  for (int index = -8; index < 12; ++index) {
    for (const bool is_narrow : {false, true}) {
      if (is_narrow) {
        m.load({0x66, 0x62, 0x03});  // bound ax, [ebx]
      } else {
        m.load({0x62, 0x03});
      }
      cpu.gpr[kRbx] = FlatMachine::kData + (is_narrow ? 64 : 0);
      cpu.gpr[kRax] = static_cast<uint32_t>(index) & (is_narrow ? 0xffff : 0xffff'ffff);
      const bool inside = index >= -3 && index <= 7;
      EXPECT_EQ(m.run(1), inside ? ExitReason::kBudget : ExitReason::kFault) << index;
      if (inside) continue;
      EXPECT_EQ(cpu.exit.fault.vector, kBoundRange);
      EXPECT_EQ(cpu.rip, FlatMachine::kCode);
    }
  }
}

}  // namespace
}  // namespace gnomon::vmm

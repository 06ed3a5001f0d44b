// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/cpu/comparison.h"

namespace gnomon::vmm {
namespace {

TEST(Bit, TestsAreAsOnTheHost) {
  Comparison both;
  scenario::Random random(8);
  constexpr uint64_t kMask = flag::kCF | flag::kZF;
  for (uint8_t kind = 4; kind < 8; ++kind) {  // BT, BTS, BTR, BTC
    for (const unsigned size : {2u, 4u, 8u}) {
      const auto opcode = static_cast<uint8_t>(0x83 | kind << 3);
      both.load(encode(size, {0x0f, opcode}, {0xca}, false), false);  // edx, ecx
      for (unsigned i = 0; i < scaled(2000); ++i)
        ASSERT_TRUE(both.check(random_registers(random), kMask));
      both.load(encode(size, {0x0f, opcode}, {0x0f}, false), true);  // [rdi], ecx
      for (unsigned i = 0; i < scaled(5000); ++i) {
        Registers in = random_registers(random);
        // Up to 250 bytes before and after; what is above the operand must not matter.
        const auto offset = static_cast<int64_t>(random.below(4000)) - 2000;
        in.gpr[kRcx] = static_cast<uint64_t>(offset);
        if (size == 2) in.gpr[kRcx] = (in.gpr[kRcx] & 0xffff) | (random.next() << 16);
        if (size == 4) in.gpr[kRcx] = (in.gpr[kRcx] & 0xffff'ffff) | (random.next() << 32);
        ASSERT_TRUE(both.check(in, kMask)) << offset;
      }
      for (unsigned bit = 0; bit < 256; bit += bit < 70 ? 1 : 31) {
        for (const bool memory : {false, true}) {
          const auto modrm = static_cast<uint8_t>((memory ? 0x07 : 0xc2) | kind << 3);
          both.load(encode(size, {0x0f, 0xba}, {modrm, static_cast<uint8_t>(bit)}, false), memory);
          for (unsigned i = 0; i < scaled(32); ++i)
            ASSERT_TRUE(both.check(random_registers(random), kMask));
        }
      }
    }
  }
}

TEST(Bit, ScansAndCountsAreAsOnTheHost) {
  Comparison both;
  scenario::Random random(9);
  for (const unsigned size : {2u, 4u, 8u}) {
    for (const bool memory : {false, true}) {
      const uint8_t modrm = memory ? 0x17 : 0xd1;
      for (const uint8_t opcode : {0xbc, 0xbd}) {
        both.load(encode(size, {0x0f, opcode}, {modrm}, false), memory);
        for (unsigned i = 0; i < scaled(3000); ++i) {
          Registers in = random_registers(random);
          // A source of 0 leaves the destination alone: on the host too, although the manual once
          // did not say so.
          if (random.percent(10)) in.gpr[kRcx] = in.gpr[kR8] = 0;
          ASSERT_TRUE(both.check(in, flag::kZF));
        }
      }
      std::vector<uint8_t> popcnt = encode(size, {0x0f, 0xb8}, {modrm}, false);
      popcnt.insert(popcnt.begin() + (size == 2 ? 1 : 0), 0xf3);
      both.load(popcnt, memory);
      for (unsigned i = 0; i < scaled(2000); ++i) ASSERT_TRUE(both.check(random_registers(random)));
    }
  }
}

// F3 0F BC and BD are BSF and BSR for a processor without TZCNT and LZCNT.
TEST(Bit, RepBeforeScansMeansNothing) {
  Comparison both;
  Registers in;
  in.gpr[kRcx] = 0x0001'0010;
  in.gpr[kRdx] = 77;
  both.load({0xf3, 0x0f, 0xbc, 0xd1}, false);
  EXPECT_EQ(both.run(in).gpr[kRdx], 4u);
  both.load({0xf3, 0x0f, 0xbd, 0xd1}, false);
  EXPECT_EQ(both.run(in).gpr[kRdx], 16u);
  in.gpr[kRcx] = 0;
  EXPECT_EQ(both.run(in).gpr[kRdx], 77u);
}

TEST(Bit, FaultsChangeNothing) {
  Comparison both;
  for (const unsigned size : {2u, 4u, 8u}) {
    for (uint8_t kind = 4; kind < 8; ++kind) {
      both.expect_fault(encode(size, {0x0f, 0xba}, {static_cast<uint8_t>(7 | kind << 3), 3}, false),
                        kind != 4);
    }
    for (const uint8_t opcode : {0xbc, 0xbd})
      both.expect_fault(encode(size, {0x0f, opcode}, {0x17}, false), false);
  }
}

}  // namespace
}  // namespace gnomon::vmm

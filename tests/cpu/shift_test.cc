// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/cpu/comparison.h"

namespace gnomon::vmm {
namespace {

enum Kind : unsigned { kRol, kRor, kRcl, kRcr, kShl, kShr, kSal, kSar };

unsigned masked(unsigned count, unsigned size) { return count & (size == 8 ? 63 : 31); }

// Flags that the manual defines after a shift of `size` bytes by `count`.
uint64_t defined(unsigned kind, unsigned size, unsigned count) {
  const unsigned n = masked(count, size);
  if (n == 0) return flag::kArithmetic;
  uint64_t mask = flag::kArithmetic;
  if (n != 1) mask &= ~flag::kOF;
  if (kind < kShl) return mask;
  mask &= ~flag::kAF;
  if (kind != kSar && n >= 8 * size) mask &= ~flag::kCF;
  return mask;
}

// One bit at a time, as the manual has it.
Registers model(unsigned kind, unsigned count, unsigned value, uint64_t flags) {
  bool cf = (flags & flag::kCF) != 0;
  unsigned n = masked(count, 1);
  if (kind == kRcl || kind == kRcr) n %= 9;
  for (unsigned i = 0; i < n; ++i) {
    const bool top = (value & 0x80) != 0;
    const bool bottom = (value & 1) != 0;
    const bool in = kind == kRcl || kind == kRcr ? cf
                    : kind == kRol               ? top
                    : kind == kRor               ? bottom
                                                 : kind == kSar && top;
    const bool left = kind == kRol || kind == kRcl || kind == kShl;
    cf = left ? top : bottom;
    value = left ? (value << 1 & 0xff) | in : value >> 1 | static_cast<unsigned>(in) << 7;
  }
  Registers out;
  out.gpr[kRax] = value;
  out.flags = cf ? flag::kCF : 0;
  return out;
}

TEST(Shift, BytesAreAsTheManualSays) {
  Comparison both;
  const unsigned step = 17 - scaled(16);
  for (const unsigned kind : {kRol, kRor, kRcl, kRcr, kShl, kShr, kSar}) {
    both.load({0xd2, static_cast<uint8_t>(0xc0 | kind << 3)}, false);
    for (unsigned n = 0; n < 0x8000; n += step) {
      Registers in;
      in.gpr[kRax] = n & 0xff;
      in.gpr[kRcx] = n >> 8 & 63;
      in.flags = n >> 14 != 0 ? flag::kCF : 0;
      const Registers want = model(kind, n >> 8 & 63, n & 0xff, in.flags);
      const Registers out = both.run(in);
      ASSERT_EQ(out.gpr[kRax], want.gpr[kRax]) << kind << " " << n;
      ASSERT_EQ(out.flags & flag::kCF, want.flags) << kind << " " << n;
    }
  }
}

TEST(Shift, AllFormsAreAsOnTheHost) {
  Comparison both;
  scenario::Random random(3);
  for (const unsigned kind : {kRol, kRor, kRcl, kRcr, kShl, kShr, kSal, kSar}) {
    for (const unsigned size : kSizes) {
      for (const bool memory : {false, true}) {
        const auto modrm = static_cast<uint8_t>((memory ? 0x07 : 0xc2) | kind << 3);
        both.load(encode(size, {0xd0}, {modrm}), memory);
        for (unsigned i = 0; i < scaled(1000); ++i) {
          ASSERT_TRUE(both.check(random_registers(random), defined(kind, size, 1)));
        }
        for (unsigned count = 0; count < 256; count += count < 66 ? 1 : 63) {
          both.load(encode(size, {0xc0}, {modrm, static_cast<uint8_t>(count)}), memory);
          for (unsigned i = 0; i < scaled(48); ++i) {
            ASSERT_TRUE(both.check(random_registers(random), defined(kind, size, count)));
          }
        }
        both.load(encode(size, {0xd2}, {modrm}), memory);
        for (unsigned i = 0; i < scaled(3000); ++i) {
          Registers in = random_registers(random);
          in.gpr[kRcx] = random.next();
          ASSERT_TRUE(both.check(in, defined(kind, size, in.gpr[kRcx] & 0xff)));
        }
      }
    }
  }
}

TEST(Shift, DoubleShiftsAreAsOnTheHost) {
  Comparison both;
  scenario::Random random(4);
  for (const uint8_t opcode : {0xa4, 0xac}) {
    for (const unsigned size : {2u, 4u, 8u}) {
      const auto check = [&](Registers in, unsigned count) {
        const unsigned n = masked(count, size);
        if (n > 8 * size) return;  // the result is undefined
        uint64_t mask = defined(kShl, size, count);
        if (n == 8 * size) mask |= flag::kCF;
        ASSERT_TRUE(both.check(in, mask)) << count;
      };
      for (const bool memory : {false, true}) {
        const uint8_t modrm = memory ? 0x17 : 0xd3;
        for (unsigned count = 0; count < 66; ++count) {
          both.load(encode(size, {0x0f, opcode}, {modrm, static_cast<uint8_t>(count)}, false),
                    memory);
          for (unsigned i = 0; i < scaled(48); ++i) check(random_registers(random), count);
        }
        both.load(encode(size, {0x0f, static_cast<uint8_t>(opcode + 1)}, {modrm}, false), memory);
        for (unsigned i = 0; i < scaled(5000); ++i) {
          Registers in = random_registers(random);
          in.gpr[kRcx] = random.next();
          check(in, in.gpr[kRcx] & 0xff);
        }
      }
    }
  }
}

// What is not defined, but the same on all of Intel's processors.
TEST(Shift, OverflowAfterMoreThanOneBit) {
  Comparison both;
  const auto of = [&](std::initializer_list<uint8_t> code, uint64_t value) {
    both.load(code, false);
    Registers in;
    in.gpr[kRax] = value;
    return (both.run(in).flags & flag::kOF) != 0;
  };
  EXPECT_TRUE(of({0xc1, 0xe0, 2}, 0x40000000));  // shl: CF = 1, sign 0
  EXPECT_TRUE(of({0xc1, 0xe0, 2}, 0x20000000));  // CF = 0, sign 1
  EXPECT_FALSE(of({0xc1, 0xe0, 2}, 0x60000000));
  EXPECT_FALSE(of({0xc1, 0xe8, 2}, 0x80000000));  // shr
  EXPECT_FALSE(of({0xc1, 0xf8, 2}, 0x80000000));  // sar
}

TEST(Shift, FaultsChangeNothing) {
  Comparison both;
  for (const unsigned size : kSizes) {
    for (uint8_t kind = 0; kind < 8; ++kind) {
      const auto modrm = static_cast<uint8_t>(7 | kind << 3);
      both.expect_fault(encode(size, {0xd0}, {modrm}), true);
      both.expect_fault(encode(size, {0xd2}, {modrm}), true);
      both.expect_fault(encode(size, {0xc0}, {modrm, 0}), true);
    }
    if (size > 1) both.expect_fault(encode(size, {0x0f, 0xa5}, {0x17}, false), true);
  }
}

}  // namespace
}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <optional>

#include "tests/cpu/comparison.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kProduct = flag::kCF | flag::kOF;  // the others are undefined

// Long division, one bit at a time, of high:low by b (all of `bits` bits). Nothing: the quotient
// does not fit.
struct Quotient {
  uint64_t quotient, rest;
};
uint64_t low_bits(unsigned bits) { return ~uint64_t{0} >> (64 - bits); }
std::optional<Quotient> divide(uint64_t high, uint64_t low, uint64_t b, unsigned bits) {
  if (high >= b) return std::nullopt;
  uint64_t rest = high;
  uint64_t quotient = 0;
  for (unsigned i = bits; i-- > 0;) {
    const bool out = (rest >> (bits - 1) & 1) != 0;
    rest = (rest << 1 | (low >> i & 1)) & low_bits(bits);
    quotient <<= 1;
    if (out || rest >= b) {
      rest = (rest - b) & low_bits(bits);
      quotient |= 1;
    }
  }
  return Quotient{quotient, rest};
}
std::optional<Quotient> divide_signed(uint64_t high, uint64_t low, uint64_t b, unsigned bits) {
  const uint64_t sign = uint64_t{1} << (bits - 1);
  const uint64_t mask = low_bits(bits);
  const bool minus = (high & sign) != 0;
  const bool below = minus != ((b & sign) != 0);
  if (minus) {
    low = (0 - low) & mask;
    high = (~high + (low == 0)) & mask;
  }
  if ((b & sign) != 0) b = (0 - b) & mask;
  std::optional<Quotient> q = divide(high, low, b, bits);
  if (!q.has_value() || q->quotient > sign - (below ? 0 : 1)) return std::nullopt;
  if (below) q->quotient = (0 - q->quotient) & mask;
  if (minus) q->rest = (0 - q->rest) & mask;
  return q;
}

TEST(Multiply, ProductsAreAsOnTheHost) {
  Comparison both;
  scenario::Random random(5);
  const auto run = [&](const std::vector<uint8_t>& bytes, bool memory) {
    both.load(bytes, memory);
    for (unsigned i = 0; i < scaled(5000); ++i)
      ASSERT_TRUE(both.check(random_registers(random), kProduct));
  };
  for (const unsigned size : kSizes) {
    for (const uint8_t extension : {4, 5}) {
      run(encode(size, {0xf6}, {static_cast<uint8_t>(0xc1 | extension << 3)}), false);
      run(encode(size, {0xf6}, {static_cast<uint8_t>(0xc2 | extension << 3)}), false);
      run(encode(size, {0xf6}, {static_cast<uint8_t>(0x07 | extension << 3)}), true);
    }
    if (size == 1) continue;
    run(encode(size, {0x0f, 0xaf}, {0xd1}, false), false);
    run(encode(size, {0x0f, 0xaf}, {0x17}, false), true);
    for (const uint8_t modrm : {0xd1, 0x17}) {
      run(encode(size, {0x6b}, {modrm, 0xf3}, false), modrm == 0x17);
      std::vector<uint8_t> last = {modrm, 0x35, 0x80};
      if (size > 2) last.insert(last.end(), {0xff, 0x8f});
      run(encode(size, {0x69}, last, false), modrm == 0x17);
    }
  }
}

TEST(Multiply, BytesExhaustively) {
  Comparison both;
  const unsigned step = 17 - scaled(16);
  for (const uint8_t modrm : {0xe1, 0xe9}) {
    both.load({0xf6, modrm}, false);
    for (unsigned n = 0; n < 0x10000; n += step) {
      Registers in;
      in.gpr[kRax] = n & 0xff;
      in.gpr[kRcx] = n >> 8;
      ASSERT_TRUE(both.check(in, kProduct));
    }
  }
}

// All of registers as they were if there is no quotient; else what the model says, and on the host.
void check_division(Comparison& both, Registers in, unsigned size, bool is_signed) {
  const unsigned bits = 8 * size;
  const uint64_t mask = low_bits(bits);
  const uint64_t high = size == 1 ? in.gpr[kRax] >> 8 & 0xff : in.gpr[kRdx] & mask;
  const auto want =
      (is_signed ? divide_signed : divide)(high, in.gpr[kRax] & mask, in.gpr[kRcx] & mask, bits);
  if (!want.has_value()) {
    in.gpr[kRdi] = kMemory + kMemoryBytes / 2;
    const Registers out = both.run(in);
    const Cpu& cpu = both.machine().cpu();
    ASSERT_EQ(cpu.exit.reason, ExitReason::kFault);
    ASSERT_EQ(cpu.exit.fault.vector, kDivideError);
    ASSERT_FALSE(cpu.exit.fault.has_error);
    ASSERT_EQ(cpu.rip, FlatMachine::kCode);
    ASSERT_EQ(out.gpr, in.gpr);
    ASSERT_EQ(out.flags, in.flags);
    return;
  }
  ASSERT_TRUE(both.check(in, 0));
  const Cpu& cpu = both.machine().cpu();
  ASSERT_EQ(cpu.gpr[kRax] & mask, want->quotient);
  ASSERT_EQ(size == 1 ? cpu.gpr[kRax] >> 8 & 0xff : cpu.gpr[kRdx] & mask, want->rest);
}

TEST(Multiply, QuotientsAreAsInTheModelAndOnTheHost) {
  Comparison both;
  scenario::Random random(6);
  for (const unsigned size : kSizes) {
    for (const bool is_signed : {false, true}) {
      both.load(encode(size, {0xf6}, {static_cast<uint8_t>(is_signed ? 0xf9 : 0xf1)}), false);
      for (unsigned i = 0; i < scaled(40000); ++i) {
        Registers in = random_registers(random);
        // Half of them with a dividend that leaves a quotient.
        if (random.percent(50))
          in.gpr[kRdx] = random.percent(50) ? 0 : in.gpr[kRcx] >> (1 + random.below(4));
        if (random.percent(25)) in.gpr[kRdx] = 0 - (in.gpr[kRax] >> 63);
        check_division(both, in, size, is_signed);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(Multiply, DivisionOfWordsByBytesExhaustively) {
  Comparison both;
  const unsigned step = scaled(16) == 16 ? 7 : 1009;
  for (const bool is_signed : {false, true}) {
    both.load({0xf6, static_cast<uint8_t>(is_signed ? 0xf9 : 0xf1)}, false);
    for (unsigned n = 0; n < 0x100'0000; n += step * 11) {
      Registers in;
      in.gpr[kRsp] = FlatMachine::kStack;
      in.gpr[kRax] = n & 0xffff;
      in.gpr[kRcx] = n >> 16;
      check_division(both, in, 1, is_signed);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(Multiply, DivisorsInMemory) {
  Comparison both;
  scenario::Random random(7);
  for (const unsigned size : kSizes) {
    for (const uint8_t modrm : {0x37, 0x3f}) {
      both.load(encode(size, {0xf6}, {modrm}), true);
      for (unsigned i = 0; i < scaled(500); ++i) {
        Registers in = random_registers(random);
        in.gpr[kR8] =
            (random.next() | 0x4040404040404040) & 0x7f7f7f7f7f7f7f7f;  // RDI points to it
        in.gpr[kRax] = size == 1 ? random.below(0x1000) : random.next() >> 1;
        in.gpr[kRdx] = 0;
        if (size == 4) in.gpr[kRax] &= 0x7fffffff;
        if (size == 2) in.gpr[kRax] &= 0x7fff;
        ASSERT_TRUE(both.check(in, 0));
      }
    }
  }
}

TEST(Multiply, FaultsChangeNothing) {
  Comparison both;
  for (const unsigned size : kSizes) {
    for (const uint8_t extension : {4, 5, 6, 7}) {
      both.expect_fault(encode(size, {0xf6}, {static_cast<uint8_t>(7 | extension << 3)}), false);
    }
    if (size > 1) both.expect_fault(encode(size, {0x0f, 0xaf}, {0x17}, false), false);
    if (size > 1) both.expect_fault(encode(size, {0x6b}, {0x17, 5}, false), false);
  }
}

}  // namespace
}  // namespace gnomon::vmm

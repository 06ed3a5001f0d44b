// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "tests/cpu/comparison.h"

namespace gnomon::vmm {
namespace {

// ADD, OR, ADC, SBB, AND, SUB, XOR, CMP: in the order of the encoding.
constexpr unsigned kOperations = 8;
bool is_logic(unsigned k) { return k == 1 || k == 4 || k == 6; }
uint64_t defined(unsigned k) {
  return is_logic(k) ? flag::kArithmetic & ~flag::kAF : flag::kArithmetic;
}

// The manual's words, bit by bit, for bytes.
struct Byte {
  unsigned value;
  uint64_t flags;
};
Byte model(unsigned k, unsigned a, unsigned b, bool carry) {
  if (is_logic(k)) {
    const unsigned r = k == 1 ? a | b : k == 4 ? a & b : a ^ b;
    return {r, (r == 0 ? flag::kZF : 0) | (r >= 128 ? flag::kSF : 0) |
                   (std::popcount(r) % 2 == 0 ? flag::kPF : 0)};
  }
  const bool subtract = k == 3 || k == 5 || k == 7;
  const int c = (k == 2 || k == 3) && carry;
  const int sign = subtract ? -1 : 1;
  const int whole = static_cast<int>(a) + sign * (static_cast<int>(b) + c);
  const int as_signed = static_cast<int8_t>(a) + sign * (static_cast<int8_t>(b) + c);
  const int nibble = static_cast<int>(a & 15) + sign * (static_cast<int>(b & 15) + c);
  const unsigned r = static_cast<unsigned>(whole) & 0xff;
  uint64_t f = 0;
  if (whole < 0 || whole > 255) f |= flag::kCF;
  if (as_signed < -128 || as_signed > 127) f |= flag::kOF;
  if (nibble < 0 || nibble > 15) f |= flag::kAF;
  if (r == 0) f |= flag::kZF;
  if (r >= 128) f |= flag::kSF;
  if (std::popcount(r) % 2 == 0) f |= flag::kPF;
  return {k == 7 ? a : r, f};
}

TEST(Arithmetic, BytesAreAsTheManualSays) {
  Comparison both;
  const unsigned step = 17 - scaled(16);
  for (unsigned k = 0; k < kOperations; ++k) {
    both.load(encode(1, {static_cast<uint8_t>(8 * k)}, {0xc8}), false);  // op al, cl
    for (unsigned n = 0; n < 0x20000; n += step) {
      Registers in;
      in.gpr[kRax] = 0x1122334455667700 | (n & 0xff);
      in.gpr[kRcx] = n >> 8 & 0xff;
      in.flags = n >> 16 != 0 ? flag::kCF : 0;
      const Byte want = model(k, n & 0xff, n >> 8 & 0xff, n >> 16 != 0);
      const Registers out = both.run(in);
      ASSERT_EQ(out.gpr[kRax], 0x1122334455667700 | want.value) << k << " " << n;
      ASSERT_EQ(out.flags & defined(k), want.flags) << k << " " << n;
    }
  }
}

TEST(Arithmetic, TwoOperandsAreAsOnTheHost) {
  Comparison both;
  scenario::Random random(1);
  for (unsigned k = 0; k < kOperations; ++k) {
    const auto op = static_cast<uint8_t>(8 * k);
    const auto extension = static_cast<uint8_t>(k << 3);
    for (const unsigned size : kSizes) {
      const auto load_op = static_cast<uint8_t>(op + 2);
      std::vector<std::pair<std::vector<uint8_t>, bool>> forms = {
          {encode(size, {op}, {0xc8}), false},             // eax, ecx
          {encode(size, {op}, {0xc0}), false},             // eax, eax
          {encode(size, {op}, {0xeb}), false},             // ebx, ebp or bl, ch
          {encode(size, {load_op}, {0xd6}), false},        // edx, esi
          {encode(size, {op}, {0x0f}), true},              // [rdi], ecx
          {encode(size, {op}, {0x54, 0x27, 0x11}), true},  // [rdi + 17], edx with a SIB byte
          {encode(size, {load_op}, {0x57, 0xf3}), true},   // edx, [rdi - 13]
      };
      std::vector<uint8_t> immediate = {0x80};
      if (size > 1) immediate.resize(size == 2 ? 2 : 4, 0x9a);
      for (const bool memory : {false, true}) {
        std::vector<uint8_t> last = {static_cast<uint8_t>((memory ? 7 : 0xc3) | extension)};
        last.insert(last.end(), immediate.begin(), immediate.end());
        forms.push_back({encode(size, {0x80}, last), memory});
        if (size > 1) {
          last.resize(2);
          forms.push_back({encode(size, {0x82}, last), memory});  // sign-extended byte: 83
        }
      }
      forms.push_back({encode(size, {static_cast<uint8_t>(op + 4)}, immediate), false});
      for (const auto& [bytes, memory] : forms) {
        both.load(bytes, memory);
        for (unsigned i = 0; i < scaled(1500); ++i) {
          ASSERT_TRUE(both.check(random_registers(random), defined(k)));
        }
      }
      if (k != 7) {
        std::vector<uint8_t> locked = encode(size, {op}, {0x0f});
        locked.insert(locked.begin(), 0xf0);
        both.load(locked, true);
        for (unsigned i = 0; i < scaled(100); ++i)
          ASSERT_TRUE(both.check(random_registers(random), defined(k)));
      }
    }
  }
  RecordProperty("cases", static_cast<int>(both.cases()));
}

TEST(Arithmetic, OneOperandAndTestAreAsOnTheHost) {
  Comparison both;
  scenario::Random random(2);
  struct Row {
    uint8_t opcode, extension;
    uint64_t mask;
  };
  const Row rows[] = {{0xfe, 0, flag::kArithmetic},   // INC
                      {0xfe, 1, flag::kArithmetic},   // DEC
                      {0xf6, 2, flag::kArithmetic},   // NOT
                      {0xf6, 3, flag::kArithmetic}};  // NEG
  const uint64_t no_af = flag::kArithmetic & ~flag::kAF;
  for (const unsigned size : kSizes) {
    for (const Row& row : rows) {
      for (const uint8_t where : {0xc0, 0xc5, 0x07}) {
        both.load(encode(size, {row.opcode}, {static_cast<uint8_t>(where | row.extension << 3)}),
                  where == 7);
        for (unsigned i = 0; i < scaled(3000); ++i)
          ASSERT_TRUE(both.check(random_registers(random), row.mask));
      }
    }
    std::vector<std::pair<std::vector<uint8_t>, bool>> tests = {
        {encode(size, {0x84}, {0xc8}), false}, {encode(size, {0x84}, {0x0f}), true}};
    std::vector<uint8_t> immediate = {0x85};
    if (size > 1) immediate.resize(size == 2 ? 2 : 4, 0xfa);
    tests.push_back({encode(size, {0xa8}, immediate), false});
    for (const bool memory : {false, true}) {
      std::vector<uint8_t> last = {static_cast<uint8_t>(memory ? 7 : 0xc1)};
      last.insert(last.end(), immediate.begin(), immediate.end());
      tests.push_back({encode(size, {0xf6}, last), memory});
    }
    for (const auto& [bytes, memory] : tests) {
      both.load(bytes, memory);
      for (unsigned i = 0; i < scaled(2000); ++i)
        ASSERT_TRUE(both.check(random_registers(random), no_af));
    }
  }
}

TEST(Arithmetic, BytesOfIncDecNegOnTheHostExhaustively) {
  Comparison both;
  const std::pair<uint8_t, uint8_t> forms[] = {
      {0xfe, 0xc0}, {0xfe, 0xc8}, {0xf6, 0xd8}, {0xf6, 0xd0}};
  for (const auto& [opcode, modrm] : forms) {
    both.load({opcode, modrm}, false);
    for (unsigned n = 0; n < 0x200; ++n) {
      Registers in;
      in.gpr[kRax] = n & 0xff;
      in.flags = (n >> 8 != 0 ? flag::kCF : flag::kOF | flag::kAF | flag::kSF);
      ASSERT_TRUE(both.check(in));
    }
  }
}

TEST(Arithmetic, FaultsChangeNothing) {
  Comparison both;
  for (const unsigned size : kSizes) {
    for (uint8_t k = 0; k < kOperations; ++k) {
      both.expect_fault(encode(size, {static_cast<uint8_t>(8 * k)}, {0x0f}), k != 7);
      both.expect_fault(encode(size, {static_cast<uint8_t>(8 * k + 2)}, {0x0f}), false);
    }
    for (const uint8_t modrm : {0x07, 0x0f}) both.expect_fault(encode(size, {0xfe}, {modrm}), true);
    for (const uint8_t modrm : {0x17, 0x1f}) both.expect_fault(encode(size, {0xf6}, {modrm}), true);
    both.expect_fault(encode(size, {0x84}, {0x0f}), false);
  }
}

}  // namespace
}  // namespace gnomon::vmm

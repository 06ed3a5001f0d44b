// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/reciprocal.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "tests/native_cpu/flat_machine.h"
#include "tests/scenario/random.h"

// RCPPS and relatives: the nearest number, on every host; and no further from the host's own than
// the manual allows.

namespace gnomon::vmm {
namespace {

constexpr double kAllowed = 1.5 / 4096;

float number(uint32_t bits) { return std::bit_cast<float>(bits); }
bool is_denormal_or_zero(uint32_t x) { return (x & 0x7f80'0000) == 0; }

// What is meant, by way of double precision: its quotients and roots are rounded to single
// precision without a second error.
uint32_t expected(uint32_t x, bool root) {
  if (std::isnan(number(x))) return x | 0x0040'0000;
  if (is_denormal_or_zero(x)) return (x & 0x8000'0000) | 0x7f80'0000;
  if (root && (x >> 31) != 0) return 0xffc0'0000;
  const double wide = number(x);
  const auto r = std::bit_cast<uint32_t>(static_cast<float>(root ? 1 / std::sqrt(wide) : 1 / wide));
  return is_denormal_or_zero(r) ? r & 0x8000'0000 : r;
}

std::vector<uint32_t> numbers() {
  std::vector<uint32_t> all;
  for (uint32_t exponent = 0; exponent < 256; ++exponent) {
    for (const uint32_t significand :
         {0u, 1u, 2u, 0x3fffffu, 0x400000u, 0x400001u, 0x7ffffeu, 0x7fffffu}) {
      for (const uint32_t sign : {0u, 1u}) all.push_back(sign << 31 | exponent << 23 | significand);
    }
  }
  scenario::Random random(1);
  for (int i = 0; i < 200'000; ++i) all.push_back(static_cast<uint32_t>(random.next()));
  return all;
}

TEST(Reciprocal, IsTheNearestNumber) {
  for (const uint32_t x : numbers()) {
    ASSERT_EQ(reciprocal(x), expected(x, false)) << std::hex << x;
    ASSERT_EQ(reciprocal_root(x), expected(x, true)) << std::hex << x;
  }
}

#ifdef __x86_64__
float host_reciprocal(float x) {
  asm("rcpss %0, %0" : "+x"(x));
  return x;
}
float host_root(float x) {
  asm("rsqrtss %0, %0" : "+x"(x));
  return x;
}

TEST(Reciprocal, TheHostsIsNoFurtherThanTheManualAllows) {
  for (const uint32_t x : numbers()) {
    for (const bool root : {false, true}) {
      const uint32_t here = root ? reciprocal_root(x) : reciprocal(x);
      const auto host =
          std::bit_cast<uint32_t>(root ? host_root(number(x)) : host_reciprocal(number(x)));
      // From 2^126 on a processor may make a result that is barely not denormal.
      const uint32_t exponent = x & 0x7f80'0000;
      if (!root && exponent >= 0x7e80'0000 && exponent != 0x7f80'0000) continue;
      const bool special =
          std::isnan(number(here)) || std::isinf(number(here)) || number(here) == 0;
      if (!special) {
        ASSERT_LE(std::abs(double{number(host)} / number(here) - 1), 2 * kAllowed) << std::hex << x;
      } else {
        ASSERT_EQ(here, host) << std::hex << x << (root ? " root" : "");
      }
    }
  }
}
#endif

TEST(Reciprocal, InstructionsChangeWhatTheyNameAlone) {
  const std::vector<uint8_t> codes[] = {
      {0x0f, 0x53, 0xc1}, {0xf3, 0x0f, 0x53, 0xc1}, {0x0f, 0x53, 0x07}, {0xf3, 0x0f, 0x53, 0x07},
      {0x0f, 0x52, 0xc1}, {0xf3, 0x0f, 0x52, 0xc1}, {0x0f, 0x52, 0x07}, {0xf3, 0x0f, 0x52, 0x07},
  };
  const std::array<uint32_t, 4> source = {0x4040'0000, 0x7f80'0001, 1, 0x3f80'0000};
  for (const auto& code : codes) {
    FlatMachine m(CodeKind::kLong64);
    m.load(code);
    Cpu& cpu = m.cpu();
    cpu.gpr[kRdi] = FlatMachine::kData;
    cpu.state.mxcsr = 0;  // nothing is masked: these raise nothing
    std::memcpy(m.ram(FlatMachine::kData), source.data(), 16);
    std::memcpy(cpu.state.xmm[1].q.data(), source.data(), 16);
    cpu.state.xmm[0].q = {0x1111'1111'2222'2222, 0x3333'3333'4444'4444};
    ASSERT_EQ(m.run(1), ExitReason::kBudget);
    const bool single = code[0] == 0xf3;
    const bool root = code[single ? 2 : 1] == 0x52;
    std::array<uint32_t, 4> wanted = {0x2222'2222, 0x1111'1111, 0x4444'4444, 0x3333'3333};
    for (unsigned i = 0; i < (single ? 1u : 4u); ++i)
      wanted[i] = root ? reciprocal_root(source[i]) : reciprocal(source[i]);
    std::array<uint32_t, 4> got;
    std::memcpy(got.data(), cpu.state.xmm[0].q.data(), 16);
    EXPECT_EQ(got, wanted);
    EXPECT_EQ(cpu.state.mxcsr, 0u);
  }
}

}  // namespace
}  // namespace gnomon::vmm

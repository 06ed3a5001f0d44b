// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "tests/cpu/native_code.h"
#include "tests/scenario/random.h"

namespace gnomon::vmm {
namespace {

constexpr size_t kImage = 32;  // in UnitState::memory: aligned to 16

UnitState random_state(scenario::Random& random) {
  UnitState s;
  for (size_t i = 0; i < s.fx.size(); i += 8) s.put(i, random.next());
  const auto control =
      static_cast<uint16_t>((random.next() & 0x1f3f) | 0x7f);  // masked: nothing is pending
  s.put(0, control);
  s.put(2, static_cast<uint16_t>(random.next() & 0x7f7f));
  s.put<uint8_t>(5, 0);
  s.put<uint16_t>(6, 0);
  for (const size_t at : {8, 16}) s.put<uint64_t>(at, 0);
  s.put<uint32_t>(24, (random.next() & 0xffff) | 0x1f80);
  // Numbers whose tags are not all the same.
  for (unsigned i = 0; i < 8; ++i) {
    if (random.percent(30)) s.put<uint64_t>(32 + 16 * i, 0);
    if (random.percent(50)) s.put<uint16_t>(40 + 16 * i, random.percent(50) ? 0 : 0x7fff);
    s.put<uint16_t>(42 + 16 * i, 0);
    s.put<uint32_t>(44 + 16 * i, 0);
  }
  for (uint8_t& b : s.memory) b = static_cast<uint8_t>(random.next());
  return s;
}

// Bytes of the image that the processor may leave as they are, or that say where the last
// instruction was.
bool compared(const std::vector<std::pair<size_t, size_t>>& ignored, size_t at) {
  for (const auto& [from, to] : ignored) {
    if (at >= from && at < to) return false;
  }
  return true;
}

void compare(const std::vector<uint8_t>& code, size_t bytes, uint64_t seed,
             const std::vector<std::pair<size_t, size_t>>& ignored) {
  NativeCode native;
  if (!native.usable()) GTEST_SKIP() << native.why();
  GuestCode guest;
  scenario::Random random(seed);
  native.load(code);
  guest.load(code);
  for (int round = 0; round < 20'000; ++round) {
    UnitState expected = random_state(random);
    UnitState got = expected;
    native.run(expected);
    ASSERT_TRUE(guest.run(got));
    for (size_t i = 0; i < expected.memory.size(); ++i) {
      if (i >= kImage && i < kImage + bytes && !compared(ignored, i - kImage)) {
        expected.memory[i] = got.memory[i];
      }
    }
    ASSERT_EQ(difference(expected, got), "") << "round " << round;
  }
}

TEST(Fxsave, ImagesAreTheHosts) {
  // The opcode and pointers of the last instruction, and the mask of MXCSR, which follows the
  // model.
  const std::vector<std::pair<size_t, size_t>> last = {{6, 24}, {28, 32}};
  compare({0x48, 0x0f, 0xae, 0x46, kImage}, 512, 1, last);
  compare({0x0f, 0xae, 0x46, kImage}, 512, 2, last);
}

TEST(Fxsave, EnvironmentsAreTheHosts) {
  compare({0xd9, 0x76, kImage}, 28, 3, {{12, 28}});
  compare({0x66, 0xd9, 0x76, kImage}, 14, 4, {{6, 14}});
  compare({0xdd, 0x76, kImage}, 108, 5, {{12, 28}});
  compare({0x66, 0xdd, 0x76, kImage}, 94, 6, {{6, 14}});
}

// What a restore takes from an image, exceptions that it leaves pending among it.
void compare_restore(const std::vector<uint8_t>& code, uint64_t seed) {
  NativeCode native;
  if (!native.usable()) GTEST_SKIP() << native.why();
  GuestCode guest;
  scenario::Random random(seed);
  native.load(code);
  guest.load(code);
  for (int round = 0; round < 20'000; ++round) {
    UnitState expected = random_state(random);
    if (code.size() > 4 || code[1] == 0xae) {
      const auto control = static_cast<uint32_t>(random.next() & 0xffff);
      std::memcpy(expected.memory.data() + kImage + 24, &control, 4);
    }
    UnitState got = expected;
    native.run(expected);
    ASSERT_TRUE(guest.run(got));
    ASSERT_EQ(difference(expected, got), "") << "round " << round;
  }
}

TEST(Fxsave, RestoresAreTheHosts) {
  compare_restore({0x48, 0x0f, 0xae, 0x4e, kImage}, 7);
  compare_restore({0x0f, 0xae, 0x4e, kImage}, 8);
  compare_restore({0xd9, 0x66, kImage}, 9);
  compare_restore({0x66, 0xd9, 0x66, kImage}, 10);
  compare_restore({0xdd, 0x66, kImage}, 11);
  compare_restore({0x66, 0xdd, 0x66, kImage}, 12);
}

TEST(Fxsave, RefusesReservedBitsAndOddAddresses) {
  GuestCode guest;
  const auto fails = [&](std::vector<uint8_t> code, uint32_t control) {
    scenario::Random random(1);
    UnitState s = random_state(random);
    std::memcpy(s.memory.data() + kImage + 24, &control, 4);
    const UnitState before = s;
    guest.load(code);
    EXPECT_FALSE(guest.run(s));
    EXPECT_EQ(unsigned{guest.machine().cpu().exit.fault.vector}, unsigned{kGeneralProtection});
    EXPECT_EQ(difference(before, s), "");
  };
  fails({0x0f, 0xae, 0x4e, kImage}, 0x1'0000);
  fails({0x0f, 0xae, 0x4e, kImage}, 0x8000'1f80);
  fails({0x0f, 0xae, 0x4e, kImage + 8}, 0x1f80);
  fails({0x0f, 0xae, 0x46, kImage + 1}, 0x1f80);
  fails({0x0f, 0xae, 0x56, kImage + 24}, 0x1'0000);  // LDMXCSR
}

TEST(Fxsave, TheShortImageEndsWithTheEighthRegister) {
  FlatMachine m(CodeKind::kFlat32);
  m.load(std::vector<uint8_t>{0x0f, 0xae, 0x06});  // fxsave [esi]
  m.cpu().gpr[kRsi] = FlatMachine::kData;
  for (Xmm& x : m.cpu().state.xmm) x.q = {0x1111'1111'1111'1111, 0x1111'1111'1111'1111};
  uint8_t* const image = m.ram(FlatMachine::kData);
  std::memset(image, 0xee, 512);
  ASSERT_EQ(m.run(1), ExitReason::kBudget);
  EXPECT_EQ(image[287], 0x11);
  EXPECT_EQ(image[288], 0xee);
  EXPECT_EQ(image[511], 0xee);
}

// The environment of real mode: linear addresses split in two.
TEST(Fxsave, RealModeKeepsLinearAddresses) {
  FlatMachine m(CodeKind::kReal16);
  // fldz; fnstenv [0x100]
  m.load(std::vector<uint8_t>{0xd9, 0xee, 0xd9, 0x36, 0x00, 0x01});
  m.cpu().state.segments[kDs].base = 0x5000;
  m.cpu().mode_changed();
  ASSERT_EQ(m.run(2), ExitReason::kBudget);
  uint16_t words[7];
  std::memcpy(words, m.ram(0x5100), 14);
  EXPECT_EQ(words[0], 0x37f);
  EXPECT_EQ(words[1], 7u << 11);
  EXPECT_EQ(words[2], 0x7fff);  // register 7 holds zero: 01
  EXPECT_EQ(words[3], 0x0000);  // linear 0x10000, its low bits
  EXPECT_EQ(words[4], 0x11ee);  // its high bits, and the opcode D9 EE
}

}  // namespace
}  // namespace gnomon::vmm

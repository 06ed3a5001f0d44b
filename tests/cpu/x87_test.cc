// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/cpu/native_code.h"
#include "tests/scenario/random.h"
#include "vmm/cpu/softsse.h"

namespace gnomon::vmm {
namespace {

using Code = std::vector<uint8_t>;

// Numbers that meet on purpose: exponents near each other and near the limits of every format; and
// all special ones.
std::array<uint8_t, 10> interesting_real(scenario::Random& random) {
  uint64_t significand = random.next() | uint64_t{1} << 63;
  auto exponent = static_cast<uint16_t>(0x3fff - 40 + random.below(110));
  switch (random.below(8)) {
    case 0: exponent = static_cast<uint16_t>(random.next() & 0x7fff); break;
    case 1: {  // near the ends of single and double precision, and of the format itself
      static constexpr std::array<uint16_t, 7> kEdges = {0x3f81, 0x3f6a, 0x407e, 0x3c01,
                                                         0x3bcd, 0x43fe, 0x7ffe};
      exponent = static_cast<uint16_t>(random.pick(kEdges) - 1 + random.below(3));
      break;
    }
    case 2: significand = uint64_t{1} << 63; break;
    case 3:
      significand = ~uint64_t{0} << random.below(64);
      significand |= uint64_t{1} << 63;
      break;
    case 4:
      exponent = random.percent(50) ? 0x7fff : 0;
      if (random.percent(50)) significand = random.percent(50) ? uint64_t{1} << 63 : 0;
      if (random.percent(50)) significand &= ~(uint64_t{1} << 62);
      if (exponent == 0 && random.percent(70)) significand &= ~(uint64_t{1} << 63);
      break;
    case 5:  // integers
      significand = (random.next() >> random.below(63) | 1) << 1;
      exponent = 0x3fff + 63;
      while (significand >> 63 == 0) significand <<= 1, --exponent;
      break;
    case 6:
      if (random.percent(30)) significand = random.next();  // maybe a number that is not supported
      break;
    default: break;
  }
  if (random.percent(50)) exponent |= 0x8000;
  std::array<uint8_t, 10> r;
  std::memcpy(r.data(), &significand, 8);
  std::memcpy(r.data() + 8, &exponent, 2);
  return r;
}

void fill(scenario::Random& random, UnitState& s) {
  uint16_t control = 0x37f;
  if (random.percent(60))
    control = static_cast<uint16_t>((control & ~0xf00) | (random.next() & 0xf00));
  if (random.percent(25)) control = static_cast<uint16_t>(control & ~(random.next() & 0x3f));
  auto status = static_cast<uint16_t>(random.next() & 0x7f00);
  // Flags that are set already must be masked: nothing may be pending.
  if (random.percent(30)) status |= static_cast<uint16_t>(random.next() & 0x7f & (control | 0x40));
  s.put(0, control);
  s.put(2, status);
  uint8_t tags = 0x7f;  // by physical register; ST7 empty if possible
  const unsigned top = status >> 11 & 7;
  tags = static_cast<uint8_t>(0xff ^ 1u << ((top + 7) & 7));
  if (random.percent(20)) tags = static_cast<uint8_t>(random.next());
  s.put(4, tags);
  s.put<uint32_t>(24, 0x1f80);
  for (unsigned i = 0; i < 8; ++i) s.put(32 + 16 * i, interesting_real(random));
  const auto real = interesting_real(random);
  std::memcpy(s.memory.data(), real.data(), 10);
  if (random.percent(60)) {
    // A float or double with an exponent of interest.
    const uint64_t bits = random.next();
    const uint64_t d = (bits & 0x800f'ffff'ffff'ffff) |
                       (random.percent(20) ? random.below(2) * 0x7ff : 1000 + random.below(50))
                           << 52;
    const auto f = static_cast<uint32_t>(
        (bits & 0x807f'ffff) |
        (random.percent(20) ? random.below(2) * 0xff : 110 + random.below(40)) << 23);
    std::memcpy(s.memory.data(), &d, 8);
    if (random.percent(50)) std::memcpy(s.memory.data(), &f, 4);
  }
  for (uint64_t& g : s.gpr) g = random.next();
  s.flags = random.next() & flag::kArithmetic;
}

void compare(const std::vector<Code>& codes, uint64_t seed, unsigned rounds,
             void (*adjust)(UnitState&) = nullptr) {
  NativeCode native;
  if (!native.usable()) GTEST_SKIP() << native.why();
  GuestCode guest;
  scenario::Random random(seed);
  unsigned failures = 0;
  for (const Code& code : codes) {
    native.load(code);
    guest.load(code);
    for (unsigned round = 0; round < rounds; ++round) {
      UnitState before;
      fill(random, before);
      if (adjust != nullptr) adjust(before);
      UnitState expected = before;
      UnitState got = before;
      native.run(expected);
      const bool ok = guest.run(got);
      // What condition codes become when an exception is not masked differs between processors.
      // So does C1 of instructions for which it is undefined (FFREE), or left alone against the
      // manual (FCOMI).
      constexpr uint16_t kSummary = 0x80, kC1 = 0x200, kCodes = 0x4700;
      const bool pending = (expected.get<uint16_t>(2) & kSummary) != 0;
      const bool frees = (code[0] == 0xdd || code[0] == 0xdf) && code[1] / 8 == 0xc0 / 8;
      const bool orders = (code[0] == 0xdb || code[0] == 0xdf) && code[1] >= 0xe8;
      const unsigned ignored = pending ? kCodes : frees || orders ? kC1 : 0;
      for (UnitState* u : {&expected, &got}) {
        u->put(2, static_cast<uint16_t>(u->get<uint16_t>(2) & ~ignored));
        if (pending && orders) u->flags = 0;
      }
      const std::string wrong = difference(expected, got);
      if (ok && wrong.empty()) continue;
      ADD_FAILURE() << absl::StrFormat("%02x %02x", code[0], code[1]) << (ok ? "" : " faults")
                    << "\nbefore\n"
                    << difference(before, UnitState{}) << "differs\n"
                    << wrong;
      if (++failures > 12) return;
      break;
    }
  }
}

Code memory(unsigned opcode, unsigned reg) {
  return {static_cast<uint8_t>(opcode), static_cast<uint8_t>(6 | reg << 3)};
}
Code registers(unsigned opcode, unsigned modrm) {
  return {static_cast<uint8_t>(opcode), static_cast<uint8_t>(modrm)};
}

TEST(X87, ArithmeticIsTheHosts) {
  std::vector<Code> codes;
  for (const unsigned opcode : {0xd8, 0xda, 0xdc, 0xde}) {
    for (unsigned reg = 0; reg < 8; ++reg) codes.push_back(memory(opcode, reg));
  }
  for (const unsigned opcode : {0xd8, 0xdc, 0xde}) {
    for (unsigned reg = 0; reg < 8; ++reg) {
      if (reg == 2 || reg == 3) continue;
      for (const unsigned i : {0, 1, 3, 7}) codes.push_back(registers(opcode, 0xc0 + 8 * reg + i));
    }
  }
  compare(codes, 1, 1500);
}

TEST(X87, ComparisonsAreTheHosts) {
  std::vector<Code> codes = {{0xda, 0xe9}, {0xde, 0xd9}, {0xd9, 0xe4}, {0xd9, 0xe5}};
  for (const unsigned i : {0, 1, 2, 7}) {
    for (const unsigned base : {0xd0, 0xd8}) codes.push_back(registers(0xd8, base + i));
    for (const unsigned base : {0xe0, 0xe8}) codes.push_back(registers(0xdd, base + i));
    for (const unsigned opcode : {0xdb, 0xdf}) {
      for (const unsigned base : {0xe8, 0xf0}) codes.push_back(registers(opcode, base + i));
    }
  }
  compare(codes, 2, 1500);
}

TEST(X87, LoadsAndStoresAreTheHosts) {
  std::vector<Code> codes;
  for (const unsigned opcode : {0xd9, 0xdb, 0xdd, 0xdf}) {
    for (unsigned reg = 0; reg < 8; ++reg) {
      if (opcode == 0xdf && reg == 4) continue;  // FBLD needs decimals
      if (reg == 1 || (opcode == 0xd9 && reg >= 4) || (opcode == 0xdb && (reg == 4 || reg == 6)) ||
          (opcode == 0xdd && reg >= 4)) {
        continue;
      }
      codes.push_back(memory(opcode, reg));
    }
  }
  compare(codes, 3, 4000);
  compare({memory(0xdf, 4)}, 4, 4000, [](UnitState& s) {
    for (unsigned i = 0; i < 9; ++i) {
      const unsigned n = s.gpr[0] >> 7 * i & 0x7f;
      s.memory[i] = static_cast<uint8_t>((n / 10 % 10) << 4 | n % 10);
    }
    s.memory[9] = (s.gpr[0] >> 63) != 0 ? 0x80 : 0;
  });
}

TEST(X87, MovesAndConstantsAreTheHosts) {
  std::vector<Code> codes = {{0xd9, 0xd0}, {0xd9, 0xf6}, {0xd9, 0xf7}, {0xd9, 0xe0}, {0xd9, 0xe1}};
  for (unsigned i = 0; i < 7; ++i) codes.push_back(registers(0xd9, 0xe8 + i));
  for (const unsigned i : {0, 1, 3, 7}) {
    for (const unsigned base : {0xc0, 0xc8}) codes.push_back(registers(0xd9, base + i));
    for (const unsigned base : {0xc0, 0xd0, 0xd8}) codes.push_back(registers(0xdd, base + i));
    codes.push_back(registers(0xdf, 0xc0 + i));
    for (unsigned c = 0; c < 4; ++c) {
      codes.push_back(registers(0xda, 0xc0 + 8 * c + i));
      codes.push_back(registers(0xdb, 0xc0 + 8 * c + i));
    }
  }
  compare(codes, 5, 1000);
}

TEST(X87, FunctionsAreTheHosts) {
  std::vector<Code> codes;
  for (unsigned modrm = 0xf0; modrm < 0x100; ++modrm) {
    if (modrm != 0xf6 && modrm != 0xf7) codes.push_back(registers(0xd9, modrm));
  }
  compare(codes, 6, 3000);
}

#ifdef __x86_64__
// Precision, rounding, flags and MXCSR of the process that runs the guest have no say, and are as
// before afterwards.
TEST(X87, TheHostsOwnStateHasNoSay) {
  uint16_t own = 0;
  asm volatile("fnstcw %0" : "=m"(own));
  const uint32_t own_mxcsr = host::mxcsr();
  for (unsigned modrm = 0xe0; modrm < 0x100; ++modrm) {
    std::vector<CpuState> ends;
    for (const bool odd : {false, true}) {
      FlatMachine m(CodeKind::kLong64);
      m.load(Code{0xd9, 0xeb, 0xd9, 0xe8, 0xd8, 0xf1, 0xd9,
                  static_cast<uint8_t>(modrm)});  // fldpi; fld1; fdiv; ...
      if (odd) {
        const uint16_t control = 0x0c7f;  // single precision, towards 0
        asm volatile("fldcw %0" : : "m"(control));
        host::set_mxcsr(0xffff);
      }
      m.run(4);
      uint16_t after = 0;
      asm volatile("fnstcw %0" : "=m"(after));
      EXPECT_EQ(after, odd ? 0x0c7f : own);
      asm volatile("fldcw %0" : : "m"(own));
      host::set_mxcsr(own_mxcsr);
      ends.push_back(m.cpu().snapshot());
    }
    EXPECT_EQ(ends[0], ends[1]) << modrm;
  }
}
#endif

TEST(X87, ControlIsTheHosts) {
  // FNCLEX, FNINIT, FNSTSW AX, FNSTSW, FNSTCW.
  compare({{0xdb, 0xe2}, {0xdb, 0xe3}, {0xdf, 0xe0}, memory(0xdd, 7), memory(0xd9, 7)}, 7, 2000);
  // FLDCW, with what it makes pending.
  compare({memory(0xd9, 5)}, 8, 4000, [](UnitState& s) {
    s.memory[0] = static_cast<uint8_t>(s.gpr[0]);
    s.memory[1] = static_cast<uint8_t>(s.gpr[0] >> 8);
  });
}

TEST(X87, PendingExceptionsWait) {
  for (const bool numeric_error : {true, false}) {
    FlatMachine m(CodeKind::kLong64);
    // fdivp (0 / 0); fnstsw ax; fwait; fldz
    m.load(Code{0xde, 0xf9, 0xdf, 0xe0, 0x9b, 0xd9, 0xee});
    Cpu& cpu = m.cpu();
    const Controls c = cpu.controls();
    cpu.mmu().write_controls(numeric_error ? c.cr0 | 0x20 : c.cr0 & ~uint64_t{0x20}, c.cr4, c.efer);
    cpu.mode_changed();
    cpu.state.x87.control = 0x37e;
    cpu.state.x87.tags = 0x03;
    ASSERT_EQ(m.run(2), ExitReason::kBudget);
    EXPECT_EQ(cpu.gpr[kRax] & 0xb8ff, 0x8081u);
    EXPECT_EQ(cpu.state.x87.tags, 0x03);  // nothing was popped
    EXPECT_EQ(cpu.state.x87.last_ip, FlatMachine::kCode);
    EXPECT_EQ(cpu.state.x87.last_opcode, 0x6f9);
    if (numeric_error) {
      EXPECT_EQ(m.run(1), ExitReason::kFault);
      EXPECT_EQ(unsigned{cpu.exit.fault.vector}, unsigned{kX87Error});
      EXPECT_EQ(cpu.rip, FlatMachine::kCode + 4);
    } else {
      EXPECT_EQ(m.run(2), ExitReason::kBudget);
      EXPECT_EQ(cpu.state.x87.tags, 0x83);
    }
  }
}

}  // namespace
}  // namespace gnomon::vmm

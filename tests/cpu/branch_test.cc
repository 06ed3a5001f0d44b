// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/native_cpu/flat_machine.h"
#include "tests/scenario/random.h"

// Near branches: where they go, what they push, what they count, and that a forbidden target
// changes nothing.

namespace gnomon::vmm {
namespace {

using Bytes = std::vector<uint8_t>;

uint64_t code_start(CodeKind kind) { return kind == CodeKind::kReal16 ? 0 : FlatMachine::kCode; }

// Code at the start, undefined instructions everywhere else within 64 KiB: whatever the branch
// reaches stops there.
void load(FlatMachine& m, CodeKind kind, const Bytes& code, uint64_t at = 0) {
  Bytes all(0x10000);
  for (size_t i = 0; i < all.size(); ++i) all[i] = i % 2 == 0 ? 0x0f : 0x0b;
  m.load(all);
  std::copy(code.begin(), code.end(), m.ram(FlatMachine::kCode + at));
  m.cpu().rip = code_start(kind) + at;
}

void append(Bytes& to, uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) to.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

// The manual's table, from RFLAGS.
bool naive_condition(unsigned code, uint64_t f) {
  const bool cf = f & flag::kCF, zf = f & flag::kZF, sf = f & flag::kSF, of = f & flag::kOF,
             pf = f & flag::kPF;
  const bool values[] = {of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of};
  return values[code / 2] != (code % 2 == 1);
}

// Once with a budget of one instruction, once until the undefined instruction that it leads to.
void expect_goes(FlatMachine& m, uint64_t target, const std::string& what) {
  const CpuState before = m.cpu().snapshot();
  const uint64_t done = m.cpu().instructions;
  EXPECT_EQ(m.run(1), ExitReason::kBudget) << what;
  EXPECT_EQ(m.cpu().rip, target) << what;
  EXPECT_EQ(m.cpu().instructions, done + 1) << what;
  const CpuState after = m.cpu().snapshot();
  for (int round = 0; round < 3; ++round) {  // the later ones by way of links
    m.cpu().restore(before);
    EXPECT_EQ(m.run(100), ExitReason::kFault) << what;
    EXPECT_EQ(m.cpu().exit.fault.vector, kInvalidOpcode) << what;
    EXPECT_EQ(m.cpu().snapshot(), after) << what;
  }
  EXPECT_EQ(m.cpu().instructions, done + 4) << what;
}

TEST(Branch, EveryConditionGoesWhereTheManualSays) {
  scenario::Random random(1);
  for (const CodeKind kind : kCodeKinds) {
    for (unsigned code = 0; code < 16; ++code) {
      for (int round = 0; round < 24; ++round) {
        FlatMachine m(kind);
        const bool wide = round % 2 == 0;
        const uint64_t at = 0x800 + 2 * random.below(0x400);
        Bytes bytes;
        const unsigned width = !wide ? 1 : kind == CodeKind::kReal16 ? 2 : 4;
        if (wide) bytes = {0x0f, static_cast<uint8_t>(0x80 + code)};
        if (!wide) bytes = {static_cast<uint8_t>(0x70 + code)};
        const int64_t length = static_cast<int64_t>(bytes.size()) + width;
        // To even places, where undefined instructions begin.
        int64_t distance = wide ? static_cast<int64_t>(random.below(0x2000)) - 0x700
                                : static_cast<int64_t>(random.below(100)) - 50;
        distance = distance / 2 * 2 - length;
        if (distance + length < 8 && distance + length > -2) continue;
        append(bytes, static_cast<uint64_t>(distance), width);
        if (length % 2 != 0) bytes.push_back(0x90);
        load(m, kind, bytes, at);
        if (length % 2 != 0) {  // not taken: the undefined instruction follows at once
          m.ram(FlatMachine::kCode + at + 3)[0] = 0x0f;
          m.ram(FlatMachine::kCode + at + 3)[1] = 0x0b;
        }
        const uint64_t flags = random.next() & flag::kArithmetic;
        m.cpu().flags.set(flags);
        const bool taken = naive_condition(code, flags);
        const uint64_t start = code_start(kind) + at + static_cast<uint64_t>(length);
        expect_goes(m, taken ? start + static_cast<uint64_t>(distance) : start,
                    "condition " + std::to_string(code) + ", flags " + std::to_string(flags));
      }
    }
  }
}

TEST(Branch, CallPushesTheReturnAddressAndReturnTakesIt) {
  for (const CodeKind kind : kCodeKinds) {
    const unsigned width = kind == CodeKind::kReal16 ? 2 : kind == CodeKind::kFlat32 ? 4 : 8;
    FlatMachine m(kind);
    Bytes code = {0xe8};
    const unsigned length = 1 + std::min(width, 4u);
    append(code, 0x100 - length, std::min(width, 4u));
    load(m, kind, code);
    *m.ram(FlatMachine::kCode + 0x100) = 0xc2;  // ret 0x10
    *m.ram(FlatMachine::kCode + 0x101) = 0x10;
    *m.ram(FlatMachine::kCode + 0x102) = 0;
    EXPECT_EQ(m.run(1), ExitReason::kBudget);
    EXPECT_EQ(m.cpu().rip, code_start(kind) + 0x100);
    EXPECT_EQ(m.cpu().gpr[kRsp], FlatMachine::kStack - width);
    uint64_t pushed = 0;
    std::memcpy(&pushed, m.ram(FlatMachine::kStack - width), width);
    EXPECT_EQ(pushed, code_start(kind) + length);
    EXPECT_EQ(m.run(1), ExitReason::kBudget);
    EXPECT_EQ(m.cpu().rip, code_start(kind) + length);
    EXPECT_EQ(m.cpu().gpr[kRsp], FlatMachine::kStack + 0x10);
  }
}

TEST(Branch, IndirectOnesGoByRegisterAndMemory) {
  for (const CodeKind kind : kCodeKinds) {
    const uint64_t target = code_start(kind) + 0x2340;
    for (const bool calls : {false, true}) {
      FlatMachine m(kind);
      load(m, kind, {0xff, static_cast<uint8_t>(calls ? 0xd3 : 0xe3)});  // call/jmp (r)bx
      m.cpu().gpr[kRbx] = target;
      expect_goes(m, target, "register");
      FlatMachine n(kind);
      load(n, kind, {0xff, static_cast<uint8_t>(calls ? 0x17 : 0x27)});  // [(r)bx] or [edi]
      n.cpu().gpr[kRbx] = n.cpu().gpr[kRdi] = 0x5000;
      std::memcpy(n.ram(0x5000), &target, 8);
      expect_goes(n, target, "memory");
    }
  }
}

TEST(Branch, LoopsCountWithTheWidthOfTheAddressSize) {
  scenario::Random random(2);
  for (const CodeKind kind : kCodeKinds) {
    for (int round = 0; round < 400; ++round) {
      FlatMachine m(kind);
      const auto which = static_cast<unsigned>(random.below(4));  // LOOPNE, LOOPE, LOOP, JCXZ
      const bool prefix = random.percent(50);
      Bytes code;
      if (prefix) code.push_back(0x67);
      code.push_back(static_cast<uint8_t>(0xe0 + which));
      const auto length = static_cast<uint8_t>(code.size() + 1);
      code.push_back(static_cast<uint8_t>(0x40 - length));
      load(m, kind, code, 0);
      m.ram(FlatMachine::kCode + length)[0] = 0x0f;
      m.ram(FlatMachine::kCode + length)[1] = 0x0b;
      const unsigned natural = kind == CodeKind::kReal16 ? 2 : kind == CodeKind::kFlat32 ? 4 : 8;
      const unsigned width = !prefix ? natural : natural == 4 ? 2 : 4;
      const uint64_t mask = width == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * width) - 1;
      uint64_t rcx = random.next() & ~mask;
      if (kind != CodeKind::kLong64) rcx &= 0xffff'ffff;
      rcx |= random.below(3) & mask;
      const uint64_t flags = random.next() & flag::kArithmetic;
      m.cpu().gpr[kRcx] = rcx;
      m.cpu().flags.set(flags);
      const bool zf = (flags & flag::kZF) != 0;
      bool taken = (rcx & mask) == 0;
      uint64_t after = rcx;
      if (which < 3) {
        const uint64_t count = (rcx - 1) & mask;
        after = width == 2 ? (rcx & ~mask) | count : count;
        taken = count != 0 && (which == 2 || zf == (which == 1));
      }
      expect_goes(m, code_start(kind) + (taken ? 0x40 : length), "loop " + std::to_string(which));
      EXPECT_EQ(m.cpu().gpr[kRcx], after);
      EXPECT_EQ(m.cpu().rflags() & flag::kArithmetic, flags);
    }
  }
}

TEST(Branch, SixteenBitOperandsCutTheTarget) {
  FlatMachine m(CodeKind::kFlat32);
  std::memcpy(m.ram(0x234), "\x0f\x0b", 2);
  load(m, CodeKind::kFlat32, {0x66, 0xe9, 0x30, 0x02});
  expect_goes(m, 0x234, "jmp rel16 in 32-bit code");
  FlatMachine n(CodeKind::kReal16);
  load(n, CodeKind::kReal16, {0xe9, 0x01, 0x10}, 0xfff0);  // wraps at 64 KiB
  expect_goes(n, 0xff4, "jmp rel16 over the end");
}

// `code` faults with #GP(0) and nothing else happens.
void expect_refused(FlatMachine& m, const std::string& what) {
  const CpuState before = m.cpu().snapshot();
  const std::vector<uint8_t> stack(m.ram(FlatMachine::kStack - 64), m.ram(FlatMachine::kStack));
  EXPECT_EQ(m.run(10), ExitReason::kFault) << what;
  EXPECT_EQ(m.cpu().exit.fault.vector, kGeneralProtection) << what;
  EXPECT_TRUE(m.cpu().exit.fault.has_error) << what;
  EXPECT_EQ(m.cpu().snapshot(), before) << what;
  EXPECT_EQ(m.cpu().instructions, 0u) << what;
  EXPECT_EQ(std::vector<uint8_t>(m.ram(FlatMachine::kStack - 64), m.ram(FlatMachine::kStack)),
            stack);
}

TEST(Branch, TargetsThatAreNotCanonicalAreRefused) {
  for (const Bytes& code :
       {Bytes{0xff, 0xe3}, Bytes{0xff, 0xd3}, Bytes{0xff, 0x27}, Bytes{0xff, 0x17}, Bytes{0xc3}}) {
    FlatMachine m(CodeKind::kLong64);
    load(m, CodeKind::kLong64, code);
    const uint64_t bad = 0x8000'0000'0000;
    m.cpu().gpr[kRbx] = bad;
    m.cpu().gpr[kRdi] = 0x5000;
    std::memcpy(m.ram(0x5000), &bad, 8);
    std::memcpy(m.ram(FlatMachine::kStack), &bad, 8);
    expect_refused(m, "opcode " + std::to_string(code[0]));
  }
}

TEST(Branch, TargetsBeyondTheCodeSegmentAreRefused) {
  // jmp, call: rel32 by operand-size prefix in real mode; jmp and call ecx; loop is within.
  for (const Bytes& code :
       {Bytes{0x66, 0xe9, 0, 0, 1, 0}, Bytes{0x66, 0xe8, 0, 0, 1, 0}, Bytes{0x66, 0xff, 0xe1},
        Bytes{0x66, 0xff, 0xd1}, Bytes{0x66, 0xc3}, Bytes{0x66, 0x0f, 0x84, 0, 0, 1, 0}}) {
    FlatMachine m(CodeKind::kReal16);
    load(m, CodeKind::kReal16, code);
    m.cpu().gpr[kRcx] = 0x1'2340;
    m.cpu().flags.set(flag::kZF);
    const uint32_t bad = 0x1'2340;
    std::memcpy(m.ram(FlatMachine::kStack), &bad, 4);
    expect_refused(m, "opcode " + std::to_string(code[1]));
  }
  // A limit in 32-bit code.
  FlatMachine m(CodeKind::kFlat32);
  load(m, CodeKind::kFlat32, {0xeb, 0x40});
  m.cpu().state.segments[kCs].limit = FlatMachine::kCode + 0x41;
  m.cpu().mode_changed();
  expect_refused(m, "limit");
}

TEST(Branch, ACallThatCannotPushChangesNothing) {
  FlatMachine m(CodeKind::kLong64);
  load(m, CodeKind::kLong64, {0xe8, 0, 1, 0, 0});
  m.cpu().gpr[kRsp] = 0x4000'0004;  // not mapped
  const CpuState before = m.cpu().snapshot();
  EXPECT_EQ(m.run(10), ExitReason::kFault);
  EXPECT_EQ(m.cpu().exit.fault.vector, kPageFault);
  EXPECT_EQ(m.cpu().snapshot(), before);
  m.cpu().gpr[kRsp] = 0x8000'0000'0008;  // by way of SS: #SS
  EXPECT_EQ(m.run(10), ExitReason::kFault);
  EXPECT_EQ(m.cpu().exit.fault.vector, kStackFault);
}

TEST(Branch, FarOnesGoToTheVmm) {
  for (const Bytes& code : {Bytes{0xea, 0, 0, 0, 0}, Bytes{0x9a, 0, 0, 0, 0}, Bytes{0xcb},
                            Bytes{0xca, 4, 0}, Bytes{0xff, 0x2f}, Bytes{0xff, 0x1f}}) {
    FlatMachine m(CodeKind::kReal16);
    load(m, CodeKind::kReal16, code);
    EXPECT_EQ(m.run(10), ExitReason::kInstruction) << int{code[0]};
    EXPECT_EQ(m.cpu().rip, 0u);
  }
}

// After offset FFFFH comes 10000H: IP is as wide as EIP, and only branches cut it.
TEST(Branch, SequentialCodeDoesNotWrapAt64K) {
  FlatMachine m(CodeKind::kFlat32);
  Segment& cs = m.cpu().state.segments[kCs];
  cs.attributes &= static_cast<uint16_t>(~seg::kDB);
  m.cpu().mode_changed();
  const uint8_t code[] = {0x90, 0x90, 0x90, 0x0f, 0x0b};
  for (unsigned i = 0; i < sizeof code; ++i) *m.ram(0xfffe + i) = code[i];
  m.cpu().rip = 0xfffe;
  EXPECT_EQ(m.run(10), ExitReason::kFault);
  EXPECT_EQ(m.cpu().rip, 0x10001u);
  EXPECT_EQ(unsigned{m.cpu().exit.fault.vector}, unsigned{kInvalidOpcode});

  FlatMachine n(CodeKind::kReal16);  // whose limit is there
  *n.ram(FlatMachine::kCode + 0xffff) = 0x90;
  n.cpu().rip = 0xffff;
  EXPECT_EQ(n.run(10), ExitReason::kFault);
  EXPECT_EQ(n.cpu().rip, 0x10000u);
  EXPECT_EQ(unsigned{n.cpu().exit.fault.vector}, unsigned{kGeneralProtection});
}

}  // namespace
}  // namespace gnomon::vmm

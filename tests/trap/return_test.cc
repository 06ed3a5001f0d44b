// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/trap/machine.h"

// IRET and RETF to every kind of code segment, against the manual's rules; system calls.

namespace gnomon::vmm {
namespace {

constexpr unsigned kCodeIndex = TrapMachine::kFree, kStackIndex = TrapMachine::kFree + 1;
constexpr uint64_t kTarget = 0x20000, kTop = 0x8000;

struct Case {
  Mode mode;
  bool interrupt;  // IRET, else RETF
  unsigned cpl, type, dpl, rpl, stack_dpl, stack_rpl;
  bool present;
  unsigned size() const { return mode == Mode::k64 ? 8 : 4; }
};

std::string expected(const Case& c) {
  const uint32_t error = kCodeIndex * 8;
  const bool code = c.type >= 8;
  const bool conforming = code && (c.type & 4) != 0;
  if (!code || c.rpl < c.cpl) return fault_text(13, error);
  if (conforming ? c.dpl > c.rpl : c.dpl != c.rpl) return fault_text(13, error);
  if (!c.present) return fault_text(11, error);
  // 64-bit IRET takes a stack in any case.
  if (c.rpl == c.cpl && !(c.interrupt && c.mode == Mode::k64)) return "done";
  if (c.stack_rpl != c.rpl || c.stack_dpl != c.rpl) return fault_text(13, kStackIndex * 8);
  return "done";
}

TEST(Return, EverySegmentAndLevel) {
  unsigned done = 0;
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    const bool wide = mode == Mode::k64;
    for (unsigned n = 0; n < 2 * 4 * 16 * 4 * 4 * 4 * 4 * 2; ++n) {
      const Case c{mode,        n % 2 != 0,   n / 2 % 4,    n / 8 % 16,        n / 128 % 4,
                   n / 512 % 4, n / 2048 % 4, n / 8192 % 4, n / 32768 % 2 != 0};
      const auto rights =
          static_cast<uint16_t>(c.type | seg::kS | c.dpl << 5 | (c.present ? seg::kP : 0) |
                                seg::kG | (wide ? seg::kL : seg::kDB));
      const auto stack_rights = static_cast<uint16_t>(seg::kWritable | seg::kS | seg::kP |
                                                      c.stack_dpl << 5 | seg::kG | seg::kDB);
      m.enter(c.cpl);
      m.set_descriptor(kCodeIndex, TrapMachine::make(0, 0xfffff, rights));
      m.set_descriptor(kStackIndex, TrapMachine::make(0, 0xfffff, stack_rights));
      m.cpu().gpr[kRsp] = kTop;
      m.cpu().rip = TrapMachine::kCode;
      m.cpu().set_rflags(flag::kOne);
      uint64_t at = kTop;
      const auto push = [&](uint64_t value) {
        m.set_word(at, value, c.size());
        at += c.size();
      };
      push(kTarget);
      push(kCodeIndex * 8 | c.rpl);
      if (c.interrupt) push(flag::kOne | flag::kIF | flag::kIOPL | flag::kCF | flag::kRF);
      push(0x7770);
      push(kStackIndex * 8 | c.stack_rpl);
      const CpuState before = m.cpu().snapshot();
      const std::string what = absl::StrCat(
          name_of(mode), c.interrupt ? " iret" : " retf", " cpl ", c.cpl, " type ", c.type, " dpl ",
          c.dpl, " rpl ", c.rpl, " stack ", c.stack_dpl, "/", c.stack_rpl, " present ", c.present);
      const std::vector<uint8_t> opcode = {static_cast<uint8_t>(c.interrupt ? 0xcf : 0xcb)};
      Op op = m.decode_bytes(wide ? std::vector<uint8_t>{0x48, opcode[0]} : opcode);
      ASSERT_EQ(m.emulate_op(op), expected(c)) << what;
      if (expected(c) != "done") {
        ASSERT_EQ(m.cpu().snapshot(), before) << what;
        continue;
      }
      ++done;
      const CpuState& s = m.cpu().state;
      ASSERT_EQ(s.cpl, c.rpl) << what;
      ASSERT_EQ(m.cpu().rip, kTarget) << what;
      ASSERT_EQ(s.segments[kCs].selector, kCodeIndex * 8 | c.rpl) << what;
      const bool switched = c.rpl > c.cpl || (c.interrupt && wide);
      ASSERT_EQ(m.cpu().gpr[kRsp], switched ? 0x7770 : kTop + c.size() * (c.interrupt ? 3 : 2))
          << what;
      if (!c.interrupt) continue;
      uint64_t flags = flag::kOne | flag::kCF | flag::kRF;
      if (c.cpl == 0) flags |= flag::kIF | flag::kIOPL;
      ASSERT_EQ(m.cpu().rflags(), flags) << what;
    }
  }
  EXPECT_GT(done, 1000u);
}

TEST(Return, DataSegmentsOfTheInnerLevelGo) {
  TrapMachine m(Mode::k32);
  for (unsigned level = 0; level < 4; ++level) {
    m.enter(0);
    m.cpu().gpr[kRax] = TrapMachine::data(level);
    ASSERT_EQ(m.emulate_bytes({0x8e, 0xd8}), "done");
    m.cpu().gpr[kRsp] = kTop;
    m.set_word(kTop, kTarget, 4);
    m.set_word(kTop + 4, TrapMachine::code(2), 4);
    m.set_word(kTop + 8, 2, 4);
    m.set_word(kTop + 12, 0x7000, 4);
    m.set_word(kTop + 16, TrapMachine::data(2), 4);
    ASSERT_EQ(m.emulate_bytes({0xcf}), "done");
    EXPECT_EQ(m.cpu().state.segments[kDs].selector, level >= 2 ? TrapMachine::data(level) : 0);
  }
}

TEST(Return, WhatIsNotThere) {
  TrapMachine m(Mode::k32);
  m.cpu().gpr[kRsp] = kTop;
  m.cpu().set_rflags(flag::kOne | flag::kNT);
  EXPECT_EQ(m.emulate_bytes({0xcf}), "#GP(0)") << "tasks are not switched";
  m.cpu().set_rflags(flag::kOne);
  m.set_word(kTop, kTarget, 4);
  m.set_word(kTop + 4, TrapMachine::code(0), 4);
  m.set_word(kTop + 8, flag::kOne | flag::kVM, 4);
  EXPECT_EQ(m.emulate_bytes({0xcf}), "#GP(0)") << "virtual-8086 mode";
  m.set_word(kTop + 4, 0, 4);
  EXPECT_EQ(m.emulate_bytes({0xcf}), "#GP(0)") << "null";
}

TEST(Return, NonCanonicalAndNotMapped) {
  TrapMachine m(Mode::k64);
  m.cpu().gpr[kRsp] = kTop;
  m.set_word(kTop, uint64_t{1} << 48);
  m.set_word(kTop + 8, TrapMachine::code(3));
  m.set_word(kTop + 16, 2);
  m.set_word(kTop + 24, 0x7000);
  m.set_word(kTop + 32, TrapMachine::data(3));
  EXPECT_EQ(m.emulate_bytes({0x48, 0xcf}), "#GP(0)");
  EXPECT_EQ(m.cpu().state.cpl, 0);
  m.cpu().gpr[kRsp] = uint64_t{1} << 48;
  EXPECT_EQ(m.emulate_bytes({0x48, 0xcf}), "#SS(0)");
  m.cpu().gpr[kRsp] = 0x7f00'0000'0000;
  EXPECT_EQ(m.emulate_bytes({0x48, 0xcf}), "#PF(0)");
}

TEST(FarTransfer, JumpsAndCalls) {
  for (const bool conforming : {false, true}) {
    TrapMachine m(Mode::k32);
    for (unsigned cpl = 0; cpl < 4; ++cpl) {
      for (unsigned dpl = 0; dpl < 4; ++dpl) {
        for (unsigned rpl = 0; rpl < 4; ++rpl) {
          m.enter(cpl);
          const auto rights =
              static_cast<uint16_t>(seg::kP | seg::kS | seg::kCode | seg::kDB | seg::kG | dpl << 5 |
                                    (conforming ? seg::kConforming : 0));
          m.set_descriptor(kCodeIndex, TrapMachine::make(0, 0xfffff, rights));
          const auto selector = static_cast<uint16_t>(kCodeIndex * 8 | rpl);
          const bool ok = conforming ? dpl <= cpl : rpl <= cpl && dpl == cpl;
          const std::string want = ok ? "done" : fault_text(13, kCodeIndex * 8);
          m.cpu().rip = TrapMachine::kCode;
          m.cpu().gpr[kRsp] = kTop;
          const auto low = static_cast<uint8_t>(selector),
                     high = static_cast<uint8_t>(selector >> 8);
          const uint16_t old = m.cpu().state.segments[kCs].selector;
          EXPECT_EQ(m.emulate_bytes({0x9a, 0x00, 0x00, 0x02, 0x00, low, high}), want);
          if (ok) {
            EXPECT_EQ(m.cpu().rip, 0x20000u);
            EXPECT_EQ(m.cpu().gpr[kRsp], kTop - 8);
            EXPECT_EQ(m.word(kTop - 8, 4), TrapMachine::kCode + 7);
            EXPECT_EQ(m.word(kTop - 4, 4), old);
            EXPECT_EQ(m.cpu().state.segments[kCs].selector, (selector & ~3) | cpl);
          }
          m.enter(cpl);
          EXPECT_EQ(m.emulate_bytes({0xea, 0x00, 0x00, 0x02, 0x00, low, high}), want);
        }
      }
    }
  }
}

TEST(FarTransfer, GatesAndTasksAreRefused) {
  TrapMachine m(Mode::k32);
  for (unsigned type = 0; type < 16; ++type) {
    m.set_descriptor(kCodeIndex,
                     TrapMachine::make(0, 0xfffff, static_cast<uint16_t>(seg::kP | type)));
    EXPECT_EQ(m.emulate_bytes({0xea, 0, 0, 0, 0, kCodeIndex * 8, 0}),
              fault_text(13, kCodeIndex * 8));
  }
}

// From real mode to protected, compatibility and 64-bit mode, and what a boot loader does on the
// way.
TEST(FarTransfer, BetweenModes) {
  TrapMachine m(Mode::k32);
  TrapMachine real(Mode::kReal);
  // jmp 0x1234:0x0056; retf
  EXPECT_EQ(real.emulate_bytes({0xea, 0x56, 0x00, 0x34, 0x12}), "done");
  EXPECT_EQ(real.cpu().rip, 0x56u);
  EXPECT_EQ(real.cpu().bases[kCs], 0x12340u);
  TrapMachine wide(Mode::k64);
  wide.cpu().gpr[kRbx] = TrapMachine::kData;
  wide.set_word(TrapMachine::kData, 0x4444, 4);
  wide.set_word(TrapMachine::kData + 4, TrapMachine::kCode32Selector, 2);
  wide.enter(3);
  EXPECT_EQ(wide.emulate_bytes({0xff, 0x2b}), "done");  // jmp far [rbx]
  EXPECT_EQ(wide.cpu().rip, 0x4444u);
  EXPECT_FALSE(wide.cpu().code64());
  EXPECT_TRUE(wide.cpu().long_mode());
}

TEST(SystemCall, SyscallAndSysret) {
  TrapMachine m(Mode::k64);
  Msrs& msrs = m.cpu().state.msrs;
  msrs.star = uint64_t{0x08} << 32 | uint64_t{0x23} << 48;
  msrs.lstar = 0xffff'8000'0000'1234;
  msrs.sfmask = flag::kIF | flag::kTF;
  m.enter(3);
  m.cpu().set_rflags(flag::kOne | flag::kIF | flag::kCF);
  m.cpu().rip = TrapMachine::kCode;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x05}), "done");
  EXPECT_EQ(m.cpu().rip, msrs.lstar);
  EXPECT_EQ(m.cpu().gpr[kRcx], TrapMachine::kCode + 2);
  EXPECT_EQ(m.cpu().gpr[kR11], flag::kOne | flag::kIF | flag::kCF);
  EXPECT_EQ(m.cpu().rflags(), flag::kOne | flag::kCF);
  EXPECT_EQ(m.cpu().state.cpl, 0);
  EXPECT_EQ(m.cpu().state.segments[kCs].selector, 0x08);
  EXPECT_EQ(m.cpu().state.segments[kSs].selector, 0x10);
  EXPECT_EQ(m.emulate_bytes({0x48, 0x0f, 0x07}), "done");
  EXPECT_EQ(m.cpu().rip, TrapMachine::kCode + 2);
  EXPECT_EQ(m.cpu().state.cpl, 3);
  EXPECT_EQ(m.cpu().rflags(), flag::kOne | flag::kIF | flag::kCF);
  EXPECT_EQ(m.cpu().state.segments[kCs].selector, 0x33);
  EXPECT_EQ(m.cpu().state.segments[kSs].selector, 0x2b);
  EXPECT_TRUE(m.cpu().code64());
  EXPECT_EQ(m.emulate_bytes({0x48, 0x0f, 0x07}), "#GP(0)") << "SYSRET at level 3";
  // To compatibility mode, where SYSCALL is not.
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x05}), "done");
  m.cpu().gpr[kRcx] = 0x7'0000'1000;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x07}), "done");
  EXPECT_EQ(m.cpu().rip, 0x1000u);
  EXPECT_EQ(m.cpu().state.segments[kCs].selector, 0x23);
  EXPECT_FALSE(m.cpu().code64());
  m.enter(0);
  m.cpu().gpr[kRcx] = uint64_t{1} << 47;
  EXPECT_EQ(m.emulate_bytes({0x48, 0x0f, 0x07}), "#GP(0)") << "not canonical";
  EXPECT_EQ(m.cpu().state.cpl, 0);
  m.cpu().mmu().write_controls(m.cpu().controls().cr0, m.cpu().controls().cr4, efer::kLME);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x05}), "#UD") << "EFER.SCE";
}

TEST(SystemCall, SysenterAndSysexit) {
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    const bool wide = mode == Mode::k64;
    Msrs& msrs = m.cpu().state.msrs;
    m.enter(3);
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x34}), "#GP(0)") << "no segment";
    msrs.sysenter_cs = 0x10;
    msrs.sysenter_eip = 0x4000;
    msrs.sysenter_esp = 0x5000;
    m.cpu().set_rflags(flag::kOne | flag::kIF);
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x34}), "done");
    EXPECT_EQ(m.cpu().rip, 0x4000u);
    EXPECT_EQ(m.cpu().gpr[kRsp], 0x5000u);
    EXPECT_EQ(m.cpu().state.cpl, 0);
    EXPECT_EQ(m.cpu().rflags(), flag::kOne);
    EXPECT_EQ(m.cpu().state.segments[kSs].selector, 0x18);
    EXPECT_EQ(m.cpu().code64(), wide);
    m.cpu().gpr[kRdx] = 0x6000;
    m.cpu().gpr[kRcx] = 0x7000;
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x35}), "done");
    EXPECT_EQ(m.cpu().rip, 0x6000u);
    EXPECT_EQ(m.cpu().gpr[kRsp], 0x7000u);
    EXPECT_EQ(m.cpu().state.segments[kCs].selector, 0x23);
    EXPECT_EQ(m.cpu().state.cpl, 3);
    EXPECT_FALSE(m.cpu().code64());
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x35}), "#GP(0)");
    if (!wide) continue;
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x34}), "done");
    EXPECT_EQ(m.emulate_bytes({0x48, 0x0f, 0x35}), "done");
    EXPECT_EQ(m.cpu().state.segments[kCs].selector, 0x33);
    EXPECT_TRUE(m.cpu().code64());
  }
}

// A system call's life, in the interpreter: user code, INT 80H, the kernel's handler, IRET, and on.
TEST(SystemCall, ThroughTheGate) {
  TrapMachine m(Mode::k32);
  m.set_gate(0x80, TrapMachine::code(0), 0x11000, 15, 3);
  m.set_gate(kGeneralProtection, TrapMachine::code(0), 0x11100, 14, 0);
  const uint8_t handler[] = {0x83, 0xc0, 0x07, 0xcf};  // add eax, 7; iret
  for (unsigned i = 0; i < sizeof handler; ++i) *m.ram(0x11000 + i) = handler[i];
  *m.ram(0x11100) = 0xf4;  // hlt
  m.enter(3);
  m.cpu().gpr[kRsp] = TrapMachine::kUserStack;
  m.cpu().gpr[kRax] = 1;
  // int 0x80; add eax, 1; hlt (which faults at level 3)
  EXPECT_EQ(m.run({0xcd, 0x80, 0x83, 0xc0, 0x01, 0xf4}), "halted");
  EXPECT_EQ(m.cpu().gpr[kRax], 9u);
  EXPECT_EQ(m.cpu().state.cpl, 0);
  EXPECT_EQ(m.cpu().gpr[kRsp], TrapMachine::stack_of(0) - 24);
  EXPECT_EQ(m.word(TrapMachine::stack_of(0) - 20, 4), TrapMachine::kCode + 5)
      << "the faulting instruction's address";
  EXPECT_EQ(m.word(TrapMachine::stack_of(0) - 8, 4), TrapMachine::kUserStack);
  EXPECT_EQ(m.cpu().instructions, 5u) << "HLT at level 3 does not count";
}

}  // namespace
}  // namespace gnomon::vmm

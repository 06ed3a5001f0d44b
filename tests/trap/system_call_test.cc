// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/trap/machine.h"

// SYSCALL, SYSENTER and their returns; a system call through a gate.

namespace gnomon::vmm {
namespace {

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

// TF that SYSRET loads traps at once, that of IRET after the next instruction.
TEST(SystemCall, SysretIntoSingleSteps) {
  TrapMachine m(Mode::k64);
  m.cpu().state.msrs.star = uint64_t{0x08} << 32 | uint64_t{0x23} << 48;
  m.set_gate(kDebug, TrapMachine::code(0), 0x11000, 14, 0);
  m.cpu().gpr[kRcx] = 0x7000;
  m.cpu().gpr[kR11] = flag::kOne | flag::kTF;
  EXPECT_EQ(m.emulate_bytes({0x48, 0x0f, 0x07}), "done");
  EXPECT_EQ(m.cpu().rip, 0x11000u);
  EXPECT_EQ(m.word(TrapMachine::stack_of(0) - 40), 0x7000u);
  EXPECT_EQ(m.word(TrapMachine::stack_of(0) - 32), 0x33u) << "from level 3";
  // The table has other segments there than SYSRET takes for granted.
  m.set_word(TrapMachine::stack_of(0) - 32, TrapMachine::code(3));
  m.set_word(TrapMachine::stack_of(0) - 8, TrapMachine::data(3));
  EXPECT_EQ(m.emulate_bytes({0x48, 0xcf}), "done");
  EXPECT_EQ(m.cpu().rip, 0x7000u);
  EXPECT_NE(m.cpu().rflags() & flag::kTF, 0u);
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

TEST(SystemCall, SysenterAndSysexitThatFault) {
  TrapMachine real(Mode::kReal);
  real.cpu().state.msrs.sysenter_cs = 0x10;
  EXPECT_EQ(real.emulate_bytes({0x0f, 0x34}), "#GP(0)");
  EXPECT_EQ(real.emulate_bytes({0x0f, 0x35}), "#GP(0)");
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    m.cpu().gpr[kRdx] = m.cpu().gpr[kRcx] = 0x6000;
    m.cpu().state.msrs.sysenter_cs = 3;
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x35}), "#GP(0)") << "no segment";
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x34}), "#GP(0)");
    EXPECT_EQ(m.cpu().state.cpl, 0);
    m.cpu().state.msrs.sysenter_cs = 0x10;
    for (unsigned cpl = 1; cpl < 4; ++cpl) {
      m.enter(cpl);
      EXPECT_EQ(m.emulate_bytes({0x0f, 0x35}), "#GP(0)");
    }
    if (mode == Mode::k32) continue;
    m.enter(0);
    for (const unsigned reg : {kRcx, kRdx}) {
      m.cpu().gpr[kRdx] = m.cpu().gpr[kRcx] = 0x6000;
      m.cpu().gpr[reg] = uint64_t{1} << 47;
      EXPECT_EQ(m.emulate_bytes({0x48, 0x0f, 0x35}), "#GP(0)") << "not canonical";
      EXPECT_EQ(m.cpu().state.cpl, 0);
    }
    // To 32-bit code the halves of the registers go.
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x35}), "done");
    EXPECT_EQ(m.cpu().rip, 0u);
    EXPECT_EQ(m.cpu().gpr[kRsp], 0x6000u);
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

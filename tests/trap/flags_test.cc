// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/trap/machine.h"

namespace gnomon::vmm {
namespace {

struct Form {
  std::vector<uint8_t> bytes;
  unsigned size;
};
std::vector<Form> forms(Mode mode, uint8_t opcode) {
  switch (mode) {
    case Mode::kReal: return {{{opcode}, 2}, {{0x66, opcode}, 4}};
    case Mode::k32: return {{{opcode}, 4}, {{0x66, opcode}, 2}};
    case Mode::k64: break;
  }
  return {{{opcode}, 8}, {{0x66, opcode}, 2}};
}

constexpr uint64_t kAll = 0x247fd5;  // what there is in RFLAGS besides RF, VM, VIF and VIP

// POPF: who may change what (the table of the manual's POPF), for every level, IOPL and operand
// size, and every flag alone.
TEST(Flags, PopfByLevelAndIopl) {
  for (const Mode mode : {Mode::kReal, Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    for (const Form& form : forms(mode, 0x9d)) {
      for (unsigned cpl = 0; cpl < (mode == Mode::kReal ? 1u : 4u); ++cpl) {
        for (unsigned level = 0; level < 4; ++level) {
          for (unsigned bit = 0; bit < 22; ++bit) {
            for (const bool set : {false, true}) {
              if (mode != Mode::kReal) m.enter(cpl);
              const uint64_t before =
                  flag::kOne | uint64_t{level} << 12 | (set ? 0 : kAll & ~flag::kIOPL);
              const uint64_t image = set ? uint64_t{1} << bit : ~(uint64_t{1} << bit);
              m.cpu().set_rflags(before & ~flag::kTF);
              m.cpu().gpr[kRsp] = TrapMachine::kStack;
              m.set_word(TrapMachine::kStack, image, form.size);
              ASSERT_EQ(m.emulate_bytes(form.bytes), "done");
              uint64_t may = 0x4dd5 | (form.size >= 4 ? flag::kAC | flag::kID : 0);
              if (cpl <= level) may |= flag::kIF;
              if (cpl == 0) may |= flag::kIF | flag::kIOPL;
              const uint64_t old = before & ~flag::kTF;
              ASSERT_EQ(m.cpu().rflags(), (old & ~may) | (image & may) | flag::kOne)
                  << absl::StrCat(name_of(mode), " size ", form.size, " cpl ", cpl, " iopl ", level,
                                  " bit ", bit);
              ASSERT_EQ(m.cpu().gpr[kRsp], TrapMachine::kStack + form.size);
            }
          }
        }
      }
    }
  }
}

TEST(Flags, NaivelyPopfLosesTheInterruptFlag) {
  TrapMachine m(Mode::k32);
  m.policy.naive = true;
  m.cpu().set_rflags(flag::kOne | flag::kIF);
  EXPECT_EQ(m.emulate_bytes({0x9c}), "done");
  EXPECT_EQ(m.word(m.cpu().gpr[kRsp], 4), flag::kOne | flag::kIF);
  EXPECT_EQ(m.emulate_bytes({0xfa}), "done") << "CLI traps, so it works";
  EXPECT_EQ(m.cpu().rflags() & flag::kIF, 0u);
  EXPECT_EQ(m.emulate_bytes({0x9c}), "done");
  EXPECT_EQ(m.word(m.cpu().gpr[kRsp], 4) & flag::kIF, flag::kIF)
      << "PUSHF shows the processor's own flag";
  m.set_word(m.cpu().gpr[kRsp], flag::kOne | flag::kIF | flag::kIOPL | flag::kCF, 4);
  EXPECT_EQ(m.emulate_bytes({0x9d}), "done");
  EXPECT_EQ(m.cpu().rflags(), flag::kOne | flag::kCF) << "POPF does not trap, and IF stays off";
}

TEST(Flags, NaivelyTheLevelShows) {
  TrapMachine m(Mode::k32);
  m.policy.naive = true;
  EXPECT_EQ(m.emulate_bytes({0x8c, 0xc8}), "done");  // mov eax, cs
  EXPECT_EQ(m.cpu().gpr[kRax] & 3, 3u);
  m.cpu().gpr[kRbx] = TrapMachine::kData;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x03}), "done");  // sgdt [ebx]
  EXPECT_NE(m.word(TrapMachine::kData + 2, 4), TrapMachine::kGdt);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xe0}), "done");  // smsw eax
  EXPECT_NE(m.cpu().gpr[kRax], m.cpu().controls().cr0);
  m.cpu().gpr[kRax] = TrapMachine::data(0);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x00, 0xe0}), "done");  // verr ax
  EXPECT_FALSE(m.cpu().flags.zf()) << "not readable at level 3";
}

TEST(Flags, PushfHidesResumeAndVirtualMode) {
  TrapMachine m(Mode::k64);
  m.cpu().set_rflags(kAll | flag::kOne | flag::kRF);
  m.cpu().state.rflags &= ~flag::kTF;
  EXPECT_EQ(m.emulate_bytes({0x9c}), "done");
  EXPECT_EQ(m.word(m.cpu().gpr[kRsp]), (kAll | flag::kOne) & ~flag::kTF);
}

TEST(Flags, InterruptFlagAndShadow) {
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    for (unsigned cpl = 0; cpl < 4; ++cpl) {
      for (unsigned level = 0; level < 4; ++level) {
        m.enter(cpl);
        m.cpu().set_rflags(flag::kOne | uint64_t{level} << 12);
        const std::string want = cpl <= level ? "done" : "#GP(0)";
        EXPECT_EQ(m.emulate_bytes({0xfb}), want);
        EXPECT_EQ(m.cpu().state.interrupt_shadow, cpl <= level);
        EXPECT_EQ((m.cpu().rflags() & flag::kIF) != 0, cpl <= level);
        EXPECT_EQ(m.emulate_bytes({0xfb}), want);
        EXPECT_FALSE(m.cpu().state.interrupt_shadow) << "of the first STI only";
        EXPECT_EQ(m.emulate_bytes({0xfa}), want);
        EXPECT_EQ(m.cpu().rflags() & flag::kIF, 0u);
      }
    }
  }
}

TEST(Flags, StacAndClacAreOfTheKernel) {
  TrapMachine m(Mode::k64);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xcb}), "done");
  EXPECT_TRUE(m.cpu().controls().ac);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xca}), "done");
  EXPECT_FALSE(m.cpu().controls().ac);
  m.enter(3);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xcb}), "#UD");
}

// A trap after each instruction that began with TF set; none after INT.
TEST(Flags, SingleSteps) {
  TrapMachine m(Mode::k32);
  m.set_gate(kDebug, TrapMachine::code(0), 0x500, 14, 0);
  m.set_gate(0x40, TrapMachine::code(0), 0x600, 14, 0);
  m.cpu().set_rflags(flag::kOne | flag::kTF);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0xa2}), "done");  // cpuid
  EXPECT_EQ(m.cpu().rip, 0x500u);
  EXPECT_EQ(m.word(m.cpu().gpr[kRsp], 4), TrapMachine::kCode + 2);
  EXPECT_EQ(m.cpu().state.dr[6], 0xffff'4ff0u);
  m.cpu().set_rflags(flag::kOne | flag::kTF);
  EXPECT_EQ(m.emulate_bytes({0xcd, 0x40}), "done");
  EXPECT_EQ(m.cpu().rip, 0x600u);
  // POPF that sets TF: the next instruction is the first to be followed by a trap.
  m.cpu().rip = TrapMachine::kCode;
  m.set_word(m.cpu().gpr[kRsp], flag::kTF, 4);
  EXPECT_EQ(m.emulate_bytes({0x9d}), "done");
  EXPECT_EQ(m.cpu().rip, TrapMachine::kCode + 1);
  EXPECT_EQ(m.emulate_bytes({0xfa}), "done");
  EXPECT_EQ(m.cpu().rip, 0x500u);
}

// MOV SS and POP SS hold off the trap, too, until the instruction after them; STI does not, nor
// LSS.
TEST(Flags, SingleStepsWaitForTheStack) {
  const auto stepped_to = [](const std::vector<uint8_t>& code) {
    TrapMachine m(Mode::k32);
    m.set_gate(kDebug, TrapMachine::code(0), 0x11000, 14, 0);
    *m.ram(0x11000) = 0xf4;
    m.cpu().gpr[kRax] = TrapMachine::data(0);
    m.set_word(TrapMachine::kData, 0x8000, 4);
    m.set_word(TrapMachine::kData + 4, TrapMachine::data(0), 2);
    m.cpu().gpr[kRbx] = TrapMachine::kData;
    m.set_word(m.cpu().gpr[kRsp], TrapMachine::data(0), 4);
    m.cpu().set_rflags(flag::kOne | flag::kTF);
    EXPECT_EQ(m.run(code), "halted");
    return m.word(m.cpu().gpr[kRsp], 4) - TrapMachine::kCode;
  };
  EXPECT_EQ(stepped_to({0x8e, 0xd0, 0x90, 0x90}), 3u) << "mov ss";
  EXPECT_EQ(stepped_to({0x17, 0x90, 0x90}), 2u) << "pop ss";
  EXPECT_EQ(stepped_to({0x8e, 0xd0, 0x0f, 0xa2, 0x90}), 4u) << "mov ss, and one that is emulated";
  EXPECT_EQ(stepped_to({0x8e, 0xd8, 0x90}), 2u) << "mov ds";
  EXPECT_EQ(stepped_to({0x0f, 0xb2, 0x23, 0x90}), 3u) << "lss";
  EXPECT_EQ(stepped_to({0xfb, 0x90}), 1u) << "sti";
}

// After STI and loads of SS interrupts wait for one instruction; LSS needs no such thing.
TEST(Flags, WhatHoldsOffInterrupts) {
  TrapMachine m(Mode::k32);
  m.cpu().gpr[kRax] = TrapMachine::data(0);
  m.set_word(TrapMachine::kData, 0x8000, 4);
  m.set_word(TrapMachine::kData + 4, TrapMachine::data(0), 2);
  m.cpu().gpr[kRbx] = TrapMachine::kData;
  m.set_word(m.cpu().gpr[kRsp], TrapMachine::data(0), 4);
  const auto shadow_after = [&](std::vector<uint8_t> bytes) {
    EXPECT_EQ(m.emulate_bytes(bytes), "done");
    return m.cpu().state.interrupt_shadow;
  };
  EXPECT_TRUE(shadow_after({0x8e, 0xd0}));
  EXPECT_FALSE(shadow_after({0x8e, 0xd8}));
  EXPECT_TRUE(shadow_after({0x17}));
  EXPECT_FALSE(shadow_after({0x0f, 0xb2, 0x23}));
  m.cpu().gpr[kRax] = TrapMachine::data(3);
  EXPECT_EQ(m.emulate_bytes({0x8e, 0xd0}), fault_text(13, TrapMachine::data(3) & ~3u));
  EXPECT_FALSE(m.cpu().state.interrupt_shadow) << "a load that faults";
}

// Behind offset FFFFH of 16-bit code is 10000H, for what the VMM executes as for the rest.
TEST(Flags, RealModeDoesNotWrapBehindAnInstructionOfTheVmm) {
  TrapMachine m(Mode::kReal);
  m.cpu().rip = 0xffff;
  EXPECT_EQ(m.emulate_bytes({0xfa}), "done");
  EXPECT_EQ(m.cpu().rip, 0x10000u);
}

}  // namespace
}  // namespace gnomon::vmm

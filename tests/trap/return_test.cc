// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/trap/machine.h"

// IRET and RETF to every kind of code segment, against the manual's rules; other far transfers.

namespace gnomon::vmm {
namespace {

constexpr unsigned kCodeIndex = TrapMachine::kFree, kStackIndex = TrapMachine::kFree + 1;
constexpr uint64_t kTarget = 0x20000, kTop = 0x8000;

struct Target {
  Mode mode;
  bool interrupt;  // IRET, else RETF
  unsigned cpl, type, dpl, rpl, stack_dpl, stack_rpl;
  bool present;
  unsigned size() const { return mode == Mode::k64 ? 8 : 4; }
};

std::string expected(const Target& c) {
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
      const Target c{mode,        n % 2 != 0,   n / 2 % 4,    n / 8 % 16,        n / 128 % 4,
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

// IRET changes IF by the IOPL of the level that it leaves, IOPL at level 0 only, RF, AC and ID with
// 32 bits and more, and everything in real mode.
TEST(Return, FlagsByLevelIoplAndSize) {
  constexpr uint64_t kImage = 0x257fd7 & ~flag::kVM;  // without NT there are no tasks
  for (const Mode mode : {Mode::kReal, Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    for (const unsigned size : {2u, 4u, 8u}) {
      if (size == 8 && mode != Mode::k64) continue;
      std::vector<uint8_t> bytes = {0xcf};
      if (size == 8) bytes.insert(bytes.begin(), 0x48);
      if (size != 8 && (size == 2) != (mode == Mode::kReal)) bytes.insert(bytes.begin(), 0x66);
      for (unsigned cpl = 0; cpl < (mode == Mode::kReal ? 1u : 4u); ++cpl) {
        for (unsigned level = 0; level < 4; ++level) {
          for (const bool set : {false, true}) {
            if (mode != Mode::kReal) m.enter(cpl);
            const uint64_t before = (flag::kOne | uint64_t{level} << 12) |
                                    (set ? 0 : flag::kIF | flag::kAC | flag::kRF);
            const uint64_t image = set ? kImage : 0;
            m.cpu().set_rflags(before);
            m.cpu().gpr[kRsp] = kTop;
            const uint64_t cs = mode == Mode::kReal ? 0 : TrapMachine::code(cpl);
            const uint64_t frame[] = {0x7000, cs, image, 0x7770, TrapMachine::data(cpl)};
            for (unsigned i = 0; i < 5; ++i) m.set_word(kTop + i * size, frame[i], size);
            ASSERT_EQ(m.emulate_bytes(bytes), "done") << size;
            uint64_t may = flag::kArithmetic | flag::kTF | flag::kDF | flag::kNT;
            if (size > 2) may |= flag::kRF | flag::kAC | flag::kID;
            if (cpl <= level) may |= flag::kIF;
            if (cpl == 0) may |= flag::kIOPL;
            uint64_t want = (before & ~may) | (image & may) | flag::kOne;
            if (size == 2) want &= ~flag::kRF;  // it has been executed
            ASSERT_EQ(m.cpu().rflags(), want)
                << absl::StrCat(name_of(mode), " size ", size, " cpl ", cpl, " iopl ", level);
            ASSERT_EQ(m.cpu().rip, 0x7000u);
          }
        }
      }
    }
  }
}

// What can be wrong with the frame, and where the answer differs from that of EverySegmentAndLevel.
TEST(Return, WhatCanBeWrongWithTheFrame) {
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    const bool wide = mode == Mode::k64;
    const auto iret = [&](TrapMachine& m, uint16_t cs, uint16_t ss, uint64_t rip = 0x7000) {
      const uint64_t frame[] = {rip, cs, flag::kOne, 0x7770, ss};
      m.cpu().gpr[kRsp] = kTop;
      for (unsigned i = 0; i < 5; ++i)
        m.set_word(kTop + i * (wide ? 8 : 4), frame[i], wide ? 8 : 4);
      return m.emulate_bytes(wide ? std::vector<uint8_t>{0x48, 0xcf} : std::vector<uint8_t>{0xcf});
    };
    constexpr uint64_t kPresent = uint64_t{1} << 47;
    TrapMachine m(mode);
    EXPECT_EQ(iret(m, 3, TrapMachine::data(3)), "#GP(0)") << "a null CS, with an RPL";
    EXPECT_EQ(iret(m, 0xfff8, 0), "#GP(fff8)") << "beyond the table";
    EXPECT_EQ(iret(m, TrapMachine::code(3), 3), "#GP(0)") << "a null SS for level 3";
    EXPECT_EQ(iret(m, TrapMachine::code(3), 0xfff3), "#GP(fff0)");
    m.set_descriptor(kStackIndex, m.descriptor(TrapMachine::data(3) / 8) & ~kPresent);
    EXPECT_EQ(iret(m, TrapMachine::code(3), kStackIndex * 8 | 3), fault_text(12, kStackIndex * 8));
    // 64-bit kernels run on no stack segment at all.
    const std::string null_stack = iret(m, TrapMachine::code(1), 1);
    EXPECT_EQ(null_stack, wide ? "done" : "#GP(0)");
    EXPECT_EQ(m.cpu().state.cpl, wide ? 1 : 0);
    m.enter(0);
    if (!wide) {
      m.set_descriptor(kCodeIndex,
                       TrapMachine::make(0, 0x6fff, seg::kP | seg::kS | seg::kCode | seg::kDB));
      EXPECT_EQ(iret(m, kCodeIndex * 8, 0), "#GP(0)") << "beyond the code segment";
      EXPECT_EQ(iret(m, kCodeIndex * 8, 0, 0x6fff), "done");
      continue;
    }
    m.set_descriptor(
        kCodeIndex,
        TrapMachine::make(0, 0xfffff, seg::kP | seg::kS | seg::kCode | seg::kL | seg::kDB));
    EXPECT_EQ(iret(m, kCodeIndex * 8, 0), fault_text(13, kCodeIndex * 8)) << "L and D";
    EXPECT_EQ(iret(m, TrapMachine::kCode32Selector, 0), "#GP(0)") << "32-bit code needs a stack";
    EXPECT_EQ(iret(m, TrapMachine::kCode32Selector, TrapMachine::data(3)), "done");
    EXPECT_FALSE(m.cpu().code64());
    EXPECT_EQ(m.cpu().state.cpl, 3);
  }
}

TEST(Return, EndsTheBlockingOfNmis) {
  TrapMachine m(Mode::k32);
  m.cpu().state.nmi_blocked = true;
  m.cpu().gpr[kRsp] = kTop;
  m.set_word(kTop, kTarget, 4);
  m.set_word(kTop + 4, 0xfff8, 4);
  m.set_word(kTop + 8, flag::kOne, 4);
  EXPECT_EQ(m.emulate_bytes({0xcb}), "#GP(fff8)");
  EXPECT_TRUE(m.cpu().state.nmi_blocked) << "RETF has nothing to do with it";
  EXPECT_EQ(m.emulate_bytes({0xcf}), "#GP(fff8)");
  EXPECT_FALSE(m.cpu().state.nmi_blocked) << "an IRET that faults ends it, too";
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

// In real mode, and from 64-bit mode to compatibility mode.
TEST(FarTransfer, BetweenModes) {
  TrapMachine real(Mode::kReal);
  // jmp 0x1234:0x0056
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

}  // namespace
}  // namespace gnomon::vmm

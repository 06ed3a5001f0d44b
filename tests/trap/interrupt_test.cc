// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/interrupt.h"

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "tests/trap/machine.h"

namespace gnomon::vmm {
namespace {

constexpr unsigned kVector = 0x40;
constexpr uint64_t kHandler = 0x12340;
constexpr uint64_t kReturn = TrapMachine::kCode + 2;
constexpr unsigned kHandlerIndex = TrapMachine::kFree;

struct Interruption {
  Mode mode;
  unsigned cpl, code_dpl, gate_dpl, gate_type;
  bool conforming, software, error, flag_if;

  std::string text() const {
    return absl::StrCat(name_of(mode), " cpl ", cpl, " code dpl ", code_dpl, " gate dpl ", gate_dpl,
                        " type ", gate_type, " conforming ", conforming, " software ", software,
                        " error ", error);
  }
};

// What the manual says of it (INT n, "PROTECTED-MODE").
std::string expected(const Interruption& c, bool& inward) {
  const uint32_t ext = c.software ? 0 : 1;
  if (c.mode == Mode::k64 && c.gate_type < 14) return fault_text(13, kVector * 8 + 2 + ext);
  if (c.software && c.gate_dpl < c.cpl) return fault_text(13, kVector * 8 + 2);
  if (c.code_dpl > c.cpl) return fault_text(13, kHandlerIndex * 8 + ext);
  inward = !c.conforming && c.code_dpl < c.cpl;
  return "done";
}

void check_frame(TrapMachine& m, const Interruption& c, bool inward, const CpuState& before) {
  const unsigned size = c.mode == Mode::k64 ? 8 : c.gate_type < 8 ? 2 : 4;
  const uint64_t mask = trap::size_mask(size);
  std::vector<uint64_t> frame;  // downward
  if (inward || c.mode == Mode::k64) {
    frame.push_back(before.segments[kSs].selector);
    frame.push_back(before.gpr[kRsp]);
  }
  frame.push_back(before.rflags);
  frame.push_back(before.segments[kCs].selector);
  frame.push_back(kReturn);
  if (c.error) frame.push_back(0x77);
  uint64_t top = before.gpr[kRsp];
  if (inward) top = TrapMachine::stack_of(c.code_dpl);
  ASSERT_EQ(m.cpu().gpr[kRsp], top - size * frame.size());
  for (size_t i = 0; i < frame.size(); ++i) {
    ASSERT_EQ(m.word(top - size * (i + 1), size), frame[i] & mask)
        << "value " << i << " of the frame";
  }
  const unsigned level = inward ? c.code_dpl : c.cpl;
  const CpuState& s = m.cpu().state;
  ASSERT_EQ(s.cpl, level);
  ASSERT_EQ(s.segments[kCs].selector, kHandlerIndex * 8 | level);
  ASSERT_EQ(m.cpu().rip, size == 2 ? kHandler & 0xffff : kHandler);
  const bool keeps_if = (c.gate_type & 1) != 0;
  ASSERT_EQ(m.cpu().rflags() & flag::kIF, keeps_if ? before.rflags & flag::kIF : 0);
  ASSERT_EQ(m.cpu().rflags() & (flag::kTF | flag::kNT | flag::kRF | flag::kVM), 0u);
  if (!inward) {
    ASSERT_EQ(s.segments[kSs], before.segments[kSs]);
  } else if (c.mode == Mode::k64) {
    ASSERT_EQ(s.segments[kSs], trap::null_segment(static_cast<uint16_t>(level)));
  } else {
    ASSERT_EQ(s.segments[kSs].selector, TrapMachine::data(level));
  }
}

TEST(Interrupt, EveryGateAndLevel) {
  unsigned delivered = 0;
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    for (unsigned n = 0; n < 4 * 4 * 4 * 4 * 2 * 2 * 2 * 2; ++n) {
      constexpr unsigned kTypes[] = {6, 7, 14, 15};
      const Interruption c{mode,
                           n % 4,
                           n / 4 % 4,
                           n / 16 % 4,
                           kTypes[n / 64 % 4],
                           n / 256 % 2 != 0,
                           n / 512 % 2 != 0,
                           n / 1024 % 2 != 0 && n / 512 % 2 == 0,
                           n / 2048 % 2 != 0};
      SCOPED_TRACE(c.text());
      m.enter(c.cpl);
      const auto rights = static_cast<uint16_t>(
          seg::kP | seg::kS | seg::kCode | (c.conforming ? seg::kConforming : 0) | c.code_dpl << 5 |
          seg::kG | (mode == Mode::k64 ? seg::kL : seg::kDB));
      m.set_descriptor(kHandlerIndex, TrapMachine::make(0, 0xfffff, rights));
      m.set_gate(kVector, kHandlerIndex * 8, kHandler, c.gate_type, c.gate_dpl);
      m.cpu().gpr[kRsp] = TrapMachine::kStack;
      m.cpu().set_rflags(flag::kOne | flag::kTF | flag::kNT | flag::kCF |
                         (c.flag_if ? flag::kIF : 0));
      m.cpu().rip = TrapMachine::kCode;
      const CpuState before = m.cpu().snapshot();
      bool inward = false;
      const std::string want = expected(c, inward);
      trap::Entry entry;
      entry.vector = kVector;
      entry.software = c.software;
      entry.has_error = c.error;
      entry.error = 0x77;
      entry.return_rip = kReturn;
      entry.saved_flags = before.rflags;
      const bool done = trap::enter_handler(m.cpu(), entry);
      ASSERT_EQ(done ? "done" : outcome_text(Emulated::kFault, m.cpu().exit.fault), want);
      if (!done) {
        ASSERT_EQ(m.cpu().snapshot(), before);
        continue;
      }
      ++delivered;
      check_frame(m, c, inward, before);
    }
  }
  EXPECT_GT(delivered, 500u);
}

// One thing wrong each time.
TEST(Interrupt, WhatCanBeWrongWithGatesAndStacks) {
  const auto enter = [](TrapMachine& m) {
    m.enter(3);
    return trap::enter_handler(m.cpu(), {kVector, false, 0, false, kReturn, 2})
               ? std::string("done")
               : outcome_text(Emulated::kFault, m.cpu().exit.fault);
  };
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    const auto fresh = [&] {
      auto m = std::make_unique<TrapMachine>(mode);
      m->set_gate(kVector, TrapMachine::code(0), kHandler, 14, 0);
      return m;
    };
    const bool wide = mode == Mode::k64;
    auto m = fresh();
    EXPECT_EQ(enter(*m), "done");
    m = fresh();
    m->cpu().state.idtr.limit = static_cast<uint16_t>((wide ? 16 : 8) * (kVector + 1) - 2);
    EXPECT_EQ(enter(*m), "#GP(203)");
    m = fresh();
    m->set_gate(kVector, TrapMachine::code(0), kHandler, 14, 0, false);
    EXPECT_EQ(enter(*m), "#NP(203)");
    for (const unsigned type : {0u, 1u, 5u, 9u, 12u, 31u}) {
      m = fresh();
      m->set_gate(kVector, TrapMachine::code(0), kHandler, type, 0);
      EXPECT_EQ(enter(*m), "#GP(203)") << type;
    }
    m = fresh();
    m->set_gate(kVector, 3, kHandler, 14, 0);
    EXPECT_EQ(enter(*m), "#GP(1)");
    m = fresh();
    m->set_gate(kVector, 0xfff8, kHandler, 14, 0);
    EXPECT_EQ(enter(*m), "#GP(fff9)");
    m = fresh();
    m->set_gate(kVector, TrapMachine::data(0), kHandler, 14, 0);
    EXPECT_EQ(enter(*m), "#GP(11)");
    m = fresh();
    m->set_descriptor(1, m->descriptor(1) & ~(uint64_t{1} << 47));
    EXPECT_EQ(enter(*m), "#NP(9)");
    m = fresh();
    m->cpu().state.tr.limit = 7;
    EXPECT_EQ(enter(*m), fault_text(10, TrapMachine::kTaskSelector + 1));
    m = fresh();
    m->cpu().state.tr = {};
    EXPECT_EQ(enter(*m), "#TS(1)");
    if (wide) {
      m = fresh();
      m->set_word(TrapMachine::kTask + 4, 0x8000'0000'0000'0000);
      EXPECT_EQ(enter(*m), "#SS(1)");
      m = fresh();
      m->set_word(TrapMachine::kTask + 4, 0xffff'8000'0000'0000);
      EXPECT_EQ(enter(*m), "#SS(1)") << "the frame lies below the canonical addresses";
      m = fresh();
      m->set_gate(kVector, TrapMachine::code(0), uint64_t{1} << 50, 14, 0);
      EXPECT_EQ(enter(*m), "#GP(1)");
      m = fresh();
      m->set_gate(kVector, TrapMachine::kCode32Selector, kHandler, 14, 0);
      EXPECT_EQ(enter(*m), fault_text(13, (TrapMachine::kCode32Selector & ~3u) + 1))
          << "32-bit code";
      m = fresh();
      m->set_word(TrapMachine::kTask + 4, 0x7f00'0000'0000);
      EXPECT_EQ(enter(*m), "#PF(2)") << "a stack that is not mapped";
      EXPECT_EQ(m->cpu().exit.fault.cr2, 0x7f00'0000'0000u - 40);
      continue;
    }
    const auto stack = [&](uint16_t selector) {
      m = fresh();
      m->set_word(TrapMachine::kTask + 8, selector, 2);
      return enter(*m);
    };
    EXPECT_EQ(stack(0), "#TS(1)");
    EXPECT_EQ(stack(0xfff0), "#TS(fff1)");
    EXPECT_EQ(stack(TrapMachine::data(0) | 1), "#TS(11)") << "RPL";
    EXPECT_EQ(stack(TrapMachine::data(3) & ~3), "#TS(41)") << "DPL";
    EXPECT_EQ(stack(TrapMachine::code(0)), "#TS(9)") << "code";
    m = fresh();
    m->set_descriptor(2, m->descriptor(2) & ~(uint64_t{1} << 47));
    EXPECT_EQ(enter(*m), "#SS(11)");
    m = fresh();
    m->set_descriptor(2,
                      TrapMachine::make(0, 0x1000, seg::kP | seg::kS | seg::kWritable | seg::kDB));
    EXPECT_EQ(enter(*m), "#SS(11)") << "beyond the new stack's limit";
    m = fresh();
    m->set_descriptor(1, TrapMachine::make(0, 0x1000, seg::kP | seg::kS | seg::kCode | seg::kDB));
    EXPECT_EQ(enter(*m), "#GP(1)") << "beyond the code segment's limit";
  }
}

TEST(Interrupt, InterruptStacks) {
  TrapMachine m(Mode::k64);
  for (unsigned ist = 1; ist < 8; ++ist) {
    for (const unsigned cpl : {0u, 3u}) {
      m.enter(cpl);
      m.set_gate(kVector, TrapMachine::code(0), kHandler, 14, 3, true, ist);
      m.cpu().rip = kReturn;
      ASSERT_EQ(deliver(m.cpu(), Event{Event::Kind::kInterrupt, kVector}), Emulated::kDone);
      EXPECT_EQ(m.cpu().gpr[kRsp], TrapMachine::interrupt_stack(ist) - 40);
      EXPECT_EQ(m.cpu().state.segments[kSs].selector, cpl == 3 ? 0 : TrapMachine::data(0));
    }
  }
  // RSP is aligned to 16 bytes before anything is pushed.
  m.enter(0);
  m.set_gate(kVector, TrapMachine::code(0), kHandler, 14, 3);
  m.cpu().gpr[kRsp] = 0x900b;
  ASSERT_EQ(deliver(m.cpu(), Event{Event::Kind::kInterrupt, kVector}), Emulated::kDone);
  EXPECT_EQ(m.cpu().gpr[kRsp], 0x9000u - 40);
  EXPECT_EQ(m.word(0x9000 - 16), 0x900bu);
}

TEST(Interrupt, RealMode) {
  TrapMachine m(Mode::kReal);
  m.set_word(4 * 0x21, 0x1234'5678, 4);
  m.cpu().set_rflags(flag::kOne | flag::kIF | flag::kTF | flag::kCF);
  m.cpu().rip = 0x10;
  EXPECT_EQ(m.emulate_bytes({0xcd, 0x21}), "done");
  EXPECT_EQ(m.cpu().rip, 0x5678u);
  EXPECT_EQ(m.cpu().state.segments[kCs].base, 0x12340u);
  EXPECT_EQ(m.cpu().gpr[kRsp], TrapMachine::kStack - 6);
  EXPECT_EQ(m.word(TrapMachine::kStack - 6, 2), 0x12u);
  EXPECT_EQ(m.word(TrapMachine::kStack - 4, 2), 0x1000u);
  EXPECT_EQ(m.word(TrapMachine::kStack - 2, 2), 0x303u);
  EXPECT_EQ(m.cpu().rflags() & (flag::kIF | flag::kTF), 0u);
  EXPECT_EQ(m.emulate_bytes({0xcf}), "done");  // iret
  EXPECT_EQ(m.cpu().rip, 0x12u);
  EXPECT_EQ(m.cpu().rflags(), 0x303u);
  m.cpu().state.idtr.limit = 4 * 0x21 + 2;
  EXPECT_EQ(m.emulate_bytes({0xcd, 0x21}), "#GP(0)");
  m.cpu().state.idtr.limit = 0;
  EXPECT_EQ(deliver(m.cpu(), Fault::plain(kInvalidOpcode)), Emulated::kShutdown);
}

// Table 6-5 of the manual, pair by pair.
TEST(Interrupt, DoubleFaults) {
  const std::set<unsigned> contributory = {0, 10, 11, 12, 13};
  for (unsigned first = 0; first < 20; ++first) {
    for (unsigned second = 0; second < 20; ++second) {
      trap::Combined want = trap::Combined::kSecond;
      const bool serious = contributory.contains(second) || second == 14;
      if (contributory.contains(first) && contributory.contains(second))
        want = trap::Combined::kDoubleFault;
      if (first == 14 && serious) want = trap::Combined::kDoubleFault;
      if (first == 8 && (serious || second == 8)) want = trap::Combined::kShutdown;
      // What follows a page fault never is a double fault of its own.
      if (second == 8 && first != 8) continue;
      EXPECT_EQ(trap::combine(true, static_cast<uint8_t>(first), static_cast<uint8_t>(second)),
                want)
          << first << " then " << second;
      EXPECT_EQ(trap::combine(false, static_cast<uint8_t>(first), static_cast<uint8_t>(second)),
                trap::Combined::kSecond);
    }
  }
}

TEST(Interrupt, DeliveryThatFails) {
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    m.set_gate(kGeneralProtection, TrapMachine::code(0), 0x100, 14, 0);
    m.set_gate(kDoubleFault, TrapMachine::code(0), 0x200, 14, 0);
    m.set_gate(kPageFault, 0xfff8, 0x300, 14, 0);
    // An interrupt without a gate: #GP with EXT.
    ASSERT_EQ(deliver(m.cpu(), Event{Event::Kind::kInterrupt, 0x50}), Emulated::kDone);
    EXPECT_EQ(m.cpu().rip, 0x100u);
    EXPECT_EQ(m.word(m.cpu().gpr[kRsp], mode == Mode::k64 ? 8 : 4), 0x50u * 8 + 3);
    // A page fault whose handler's segment does not exist.
    Fault page = Fault::with_error(kPageFault, 2);
    page.cr2 = 0x1234'5000;
    ASSERT_EQ(deliver(m.cpu(), page), Emulated::kDone);
    EXPECT_EQ(m.cpu().rip, 0x200u);
    EXPECT_EQ(m.cpu().state.cr2, 0x1234'5000u);
    EXPECT_EQ(m.word(m.cpu().gpr[kRsp], mode == Mode::k64 ? 8 : 4), 0u);
    // Without a handler of double faults, too, the processor stops.
    m.set_gate(kDoubleFault, 0xfff8, 0x200, 14, 0);
    EXPECT_EQ(deliver(m.cpu(), page), Emulated::kShutdown);
    m.cpu().state.idtr.limit = 0;
    EXPECT_EQ(deliver(m.cpu(), Fault::plain(kInvalidOpcode)), Emulated::kShutdown);
  }
}

TEST(Interrupt, WhatIsSavedAndWhatWakes) {
  TrapMachine m(Mode::k64);
  for (const unsigned vector : {1u, 2u, 6u, 0x30u})
    m.set_gate(vector, TrapMachine::code(0), 0x100 * vector, 14, 0);
  const auto saved_flags = [&] { return m.word(m.cpu().gpr[kRsp] + 16); };
  m.cpu().set_rflags(flag::kOne | flag::kIF);
  deliver(m.cpu(), Fault::plain(kInvalidOpcode));
  EXPECT_EQ(saved_flags(), flag::kOne | flag::kIF | flag::kRF);
  m.cpu().state.halted = m.cpu().state.interrupt_shadow = true;
  deliver(m.cpu(), Event{Event::Kind::kInterrupt, 0x30});
  EXPECT_EQ(saved_flags(), flag::kOne);
  EXPECT_FALSE(m.cpu().state.halted);
  EXPECT_FALSE(m.cpu().state.interrupt_shadow);
  deliver(m.cpu(), Event{Event::Kind::kTrap, kDebug});
  EXPECT_EQ(m.cpu().state.dr[6] & 0x4000, 0x4000u);
  deliver(m.cpu(), Event{Event::Kind::kInterrupt, kNmi});
  EXPECT_TRUE(m.cpu().state.nmi_blocked);
  EXPECT_EQ(m.emulate_bytes({0x48, 0xcf}), "done");
  EXPECT_FALSE(m.cpu().state.nmi_blocked);
  EXPECT_EQ(m.cpu().exits[ExitClass::kInterrupt], 2u);
  EXPECT_EQ(m.cpu().exits[ExitClass::kFault], 1u);
  EXPECT_EQ(m.cpu().exits[ExitClass::kTrap], 1u);
  EXPECT_EQ(m.cpu().exits[ExitClass::kInterruptReturn], 1u);
}

}  // namespace
}  // namespace gnomon::vmm

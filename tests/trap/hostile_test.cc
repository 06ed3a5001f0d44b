// SPDX-License-Identifier: Apache-2.0
#include <Zydis/Mnemonic.h>
#include <gtest/gtest.h>


#include "absl/strings/str_cat.h"
#include "tests/scenario/random.h"
#include "tests/support/scale.h"
#include "tests/trap/machine.h"
#include "vmm/cpu/decode.h"

// Whatever a guest's tables and registers hold, an instruction either is done, or faults and has
// changed no register; and a delivery always ends.

namespace gnomon::vmm {
namespace {

using scenario::Random;

// What the instructions that go to the VMM begin with.
const std::vector<std::vector<uint8_t>> kOpcodes = {
    {0x9c},
    {0x9d},
    {0xcc},
    {0xcd},
    {0xce},
    {0xcf},
    {0xf1},
    {0xfa},
    {0xfb},
    {0xf4},
    {0xe4},
    {0xe6},
    {0xec},
    {0xef},
    {0x6c},
    {0x6d},
    {0x6e},
    {0x6f},
    {0xf3, 0x6d},
    {0xf3, 0x6e},
    {0x8e},
    {0x8c},
    {0xea},
    {0x9a},
    {0xcb},
    {0xca},
    {0xff},
    {0x07},
    {0x17},
    {0x1f},
    {0x0e},
    {0x0f, 0xa1},
    {0x0f, 0xa9},
    {0xc4},
    {0xc5},
    {0x0f, 0xb2},
    {0x0f, 0xb4},
    {0x63},
    {0x0f, 0x00},
    {0x0f, 0x01},
    {0x0f, 0x02},
    {0x0f, 0x03},
    {0x0f, 0x05},
    {0x0f, 0x06},
    {0x0f, 0x07},
    {0x0f, 0x20},
    {0x0f, 0x21},
    {0x0f, 0x22},
    {0x0f, 0x23},
    {0x0f, 0x30},
    {0x0f, 0x32},
    {0x0f, 0x34},
    {0x0f, 0x35},
    {0x0f, 0xa2},
    {0x66, 0x0f, 0x38, 0x82},
    {0xf3, 0x0f, 0xae},
    {0xf3, 0x48, 0x0f, 0xc7},
    {0x48, 0xcf},
    {0x48, 0xcb},
    {0x48, 0x0f, 0x07},
};

uint64_t address(Random& random) {
  switch (random.below(8)) {
    case 0: return random.next();
    case 1: return TrapMachine::kRam - random.below(64);
    case 2: return uint64_t{1} << (46 + random.below(3));
    case 3: return 0xffff'ffff - random.below(32);
    case 4: return 0 - random.below(32);
    default: return random.below(TrapMachine::kRam);
  }
}

uint64_t plausible_descriptor(Random& random) {
  const auto attributes =
      static_cast<uint16_t>(random.next() & 0xf0ff) | (random.percent(80) ? seg::kP : 0);
  return TrapMachine::make(random.percent(70) ? 0 : address(random),
                           static_cast<uint32_t>(random.next()), static_cast<uint16_t>(attributes));
}

void scramble(TrapMachine& m, Random& random, Mode mode) {
  for (unsigned i = 0; i < 64; ++i) {
    if (random.percent(30)) m.set_descriptor(TrapMachine::kFree + i, plausible_descriptor(random));
    if (random.percent(30)) m.set_word(TrapMachine::kLdt + 8 * i, plausible_descriptor(random));
  }
  for (unsigned i = 0; i < 32; ++i) {
    m.set_gate(i, static_cast<uint16_t>(random.below(96 * 8)), address(random),
               static_cast<unsigned>(random.below(32)), static_cast<unsigned>(random.below(4)),
               random.percent(90), static_cast<unsigned>(random.below(8)));
  }
  CpuState s = m.cpu().snapshot();
  for (uint64_t& r : s.gpr) r = random.percent(50) ? address(random) : random.below(96 * 8);
  if (random.percent(20)) s.gdtr = {address(random), static_cast<uint16_t>(random.next())};
  if (random.percent(20)) s.idtr = {address(random), static_cast<uint16_t>(random.next())};
  if (random.percent(30))
    s.tr = {8, static_cast<uint16_t>(random.next() & 0xff),
            static_cast<uint32_t>(random.below(200)), address(random)};
  if (random.percent(20)) s.ldtr = {};
  s.msrs.star = random.next();
  s.msrs.sysenter_cs = random.below(200);
  s.msrs.lstar = s.msrs.sysenter_eip = address(random);
  s.rflags = (random.next() & 0x247fd5) | flag::kOne;
  s.rip = address(random);
  if (mode != Mode::kReal) {
    s.cpl = static_cast<uint8_t>(random.below(4));
    for (unsigned i = 0; i < kSegmentRegisters; ++i) {
      if (!random.percent(20)) continue;
      Segment& g = s.segments[i];
      g.limit = static_cast<uint32_t>(random.next() >> random.below(40));
      g.base = random.below(TrapMachine::kRam);
      g.attributes = static_cast<uint16_t>(seg::kP | seg::kS | (random.next() & 0x40ef));
    }
  } else if (random.percent(30)) {
    s.segments[kSs].limit = static_cast<uint32_t>(random.below(0x10000));
  }
  if (mode != Mode::k64) {
    for (Segment& g : s.segments) g.base &= 0xffff'ffff;
    s.rip &= mode == Mode::kReal ? 0xffff : 0xffff'ffff;
    for (uint64_t& r : s.gpr) r &= 0xffff'ffff;
    s.msrs.lstar &= 0xffff'ffff;
  }
  m.cpu().restore(s);
}

void check_sane(const Cpu& cpu) {
  ASSERT_LE(cpu.state.cpl, 3);
  ASSERT_EQ(cpu.gpr[kNoRegister], 0u);
  ASSERT_EQ(cpu.rflags() & flag::kVM, 0u);
  if (cpu.real_mode()) ASSERT_EQ(cpu.state.cpl, 0);
  if (!cpu.long_mode()) ASSERT_LE(cpu.rip, 0xffff'ffffu);
}

TEST(Hostile, InstructionsOnRandomState) {
  const unsigned rounds = by_scale(100u, 1500u, 1500u);
  unsigned done = 0, faults = 0, shutdowns = 0;
  for (const Mode mode : {Mode::kReal, Mode::k32, Mode::k64}) {
    Random random(7 + static_cast<unsigned>(mode));
    std::unique_ptr<TrapMachine> m;
    for (unsigned round = 0; round < rounds; ++round) {
      if (round % 50 == 0) m = std::make_unique<TrapMachine>(mode);
      scramble(*m, random, mode);
      for (unsigned n = 0; n < 12; ++n) {
        std::vector<uint8_t> bytes = random.pick(kOpcodes);
        while (bytes.size() < 12) bytes.push_back(static_cast<uint8_t>(random.next()));
        const Op op = m->decode_bytes(bytes);
        if (op.run != handlers::sensitive) continue;
        const CpuState before = m->cpu().snapshot();
        const std::string what = m->emulate_op(op);
        check_sane(m->cpu());
        const bool string = op.code == ZYDIS_MNEMONIC_INSB || op.code == ZYDIS_MNEMONIC_INSD ||
                            op.code == ZYDIS_MNEMONIC_INSW || op.code == ZYDIS_MNEMONIC_OUTSB ||
                            op.code == ZYDIS_MNEMONIC_OUTSW || op.code == ZYDIS_MNEMONIC_OUTSD;
        if (what == "shutdown") {
          ++shutdowns;
          break;
        }
        if (what == "done" || what == "halted") {
          ++done;
          continue;
        }
        ++faults;
        if (!string && what != "#DB") {
          ASSERT_EQ(m->cpu().snapshot(), before)
              << name_of(mode) << " " << what << " mnemonic " << op.code;
        }
        const Emulated delivered = deliver(m->cpu(), m->cpu().exit.fault);
        ASSERT_TRUE(delivered == Emulated::kDone || delivered == Emulated::kShutdown);
        check_sane(m->cpu());
        if (delivered == Emulated::kShutdown) {
          ++shutdowns;
          break;
        }
      }
    }
  }
  EXPECT_GT(done, rounds / 10);
  EXPECT_GT(faults, rounds / 10);
  EXPECT_GT(shutdowns, rounds / 100);
}

// Tables and stacks on top of each other, at the end of RAM, beyond it, and nowhere.
TEST(Hostile, TablesWhereTheyShouldNotBe) {
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    for (const uint64_t base : {uint64_t{0}, TrapMachine::kRam - 1, TrapMachine::kRam - 4,
                                TrapMachine::kRam, uint64_t{0xffff'fff8}, uint64_t{0xffff'ffff},
                                TrapMachine::kTables, TrapMachine::kStack - 16}) {
      for (const uint16_t limit : {uint16_t{0}, uint16_t{7}, uint16_t{0xffff}}) {
        for (unsigned which = 0; which < 4; ++which) {
          TrapMachine m(mode);
          m.set_gate(kGeneralProtection, TrapMachine::code(0), 0x100, 14, 3);
          m.set_gate(0x40, TrapMachine::code(0), 0x100, 14, 3);
          m.enter(3);
          if (which == 0) m.cpu().state.gdtr = {base, limit};
          if (which == 1) m.cpu().state.idtr = {base, limit};
          if (which == 2) m.cpu().state.tr = {8, seg::kP | 11, limit, base};
          if (which == 3) m.set_word(TrapMachine::kTask + 4, base, mode == Mode::k64 ? 8 : 4);
          const Emulated what = deliver(m.cpu(), Event{Event::Kind::kInterrupt, 0x40});
          ASSERT_TRUE(what == Emulated::kDone || what == Emulated::kShutdown);
          // Where there is no RAM, ones are read: conforming code of level 3.
          if (what == Emulated::kShutdown || which != 0)
            ASSERT_EQ(m.cpu().state.cpl, what == Emulated::kDone ? 0 : 3);
        }
      }
    }
  }
}

// The new stack lies in the very task-state segment, table or code it is read from.
TEST(Hostile, StackInItsOwnTables) {
  for (const uint64_t top :
       {TrapMachine::kTask + 12, TrapMachine::kIdt + 8 * 0x41, TrapMachine::kGdt + 24}) {
    TrapMachine m(Mode::k32);
    m.set_gate(0x40, TrapMachine::code(0), 0x100, 14, 3);
    m.set_word(TrapMachine::kTask + 4, top, 4);
    m.enter(3);
    ASSERT_EQ(deliver(m.cpu(), Event{Event::Kind::kInterrupt, 0x40}), Emulated::kDone);
    EXPECT_EQ(m.cpu().gpr[kRsp], top - 20);
    EXPECT_EQ(m.word(top - 8, 4), TrapMachine::kStack);
  }
}

}  // namespace
}  // namespace gnomon::vmm

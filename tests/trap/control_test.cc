// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/trap/machine.h"
#include "vmm/trap/control_registers.h"

namespace gnomon::vmm {
namespace {

std::string write_cr(TrapMachine& m, unsigned number, uint64_t value) {
  m.cpu().gpr[kRax] = value;
  if (number == 8) return m.emulate_bytes({0x44, 0x0f, 0x22, 0xc0});
  return m.emulate_bytes({0x0f, 0x22, static_cast<uint8_t>(0xc0 | number << 3)});
}
uint64_t read_cr(TrapMachine& m, unsigned number) {
  m.cpu().gpr[kRax] = 0;
  const std::vector<uint8_t> bytes = {0x0f, 0x20, static_cast<uint8_t>(0xc0 | number << 3)};
  EXPECT_EQ(number == 8 ? m.emulate_bytes({0x44, 0x0f, 0x20, 0xc0}) : m.emulate_bytes(bytes),
            "done");
  return m.cpu().gpr[kRax];
}

TEST(Control, OnlyTheKernel) {
  TrapMachine m(Mode::k64);
  for (unsigned cpl = 1; cpl < 4; ++cpl) {
    m.enter(cpl);
    for (const unsigned number : {0u, 2u, 3u, 4u, 8u}) EXPECT_EQ(write_cr(m, number, 0), "#GP(0)");
    for (const auto& bytes : std::vector<std::vector<uint8_t>>{{0x0f, 0x20, 0xc0},
                                                               {0x0f, 0x21, 0xc0},
                                                               {0x0f, 0x23, 0xf8},
                                                               {0x0f, 0x06},
                                                               {0x0f, 0x01, 0xf0},
                                                               {0xf4},
                                                               {0x0f, 0x30},
                                                               {0x0f, 0x32},
                                                               {0x0f, 0x09},
                                                               {0x0f, 0x08},
                                                               {0x0f, 0x01, 0x38},
                                                               {0x0f, 0x01, 0x10},
                                                               {0x0f, 0x01, 0x18},
                                                               {0x0f, 0x00, 0xd0},
                                                               {0x0f, 0x00, 0xd8},
                                                               {0x66, 0x0f, 0x38, 0x82, 0x03},
                                                               {0x0f, 0x01, 0xf8}}) {
      EXPECT_EQ(m.emulate_bytes(bytes), "#GP(0)")
          << absl::StrCat(absl::Hex(bytes[0]), " ", absl::Hex(bytes.back()));
    }
  }
}

// Every single bit of CR0 and CR4.
TEST(Control, EveryBit) {
  constexpr uint64_t kCr0Kept = 0xe005'003f;
  constexpr uint64_t kCr4Known = 0x730fbc & ~(1u << 6);
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    for (unsigned bit = 0; bit < (mode == Mode::k64 ? 64u : 32u); ++bit) {
      TrapMachine m(mode);
      const uint64_t flip = uint64_t{1} << bit;
      const uint64_t cr0 = m.cpu().controls().cr0;
      const uint64_t cr4 = m.cpu().controls().cr4;
      const uint64_t next = cr0 ^ flip;
      bool refused = bit >= 32 || bit == 29;  // NW without CD
      if (mode == Mode::k64 && (bit == 0 || bit == 31))
        refused = true;  // PE, and PG in 64-bit code
      EXPECT_EQ(write_cr(m, 0, next), refused ? "#GP(0)" : "done")
          << name_of(mode) << " CR0 bit " << bit;
      EXPECT_EQ(m.cpu().controls().cr0, refused ? cr0 : (next & kCr0Kept) | 0x10);
      TrapMachine n(mode);
      refused = (flip & kCr4Known) == 0;
      if (mode == Mode::k64 && bit == 5) refused = true;   // PAE
      if (mode == Mode::k32 && bit == 17) refused = true;  // PCIDE
      EXPECT_EQ(write_cr(n, 4, cr4 ^ flip), refused ? "#GP(0)" : "done")
          << name_of(mode) << " CR4 bit " << bit;
      EXPECT_EQ(n.cpu().controls().cr4, refused ? cr4 : cr4 ^ flip);
    }
  }
}

TEST(Control, RegistersReadBack) {
  TrapMachine m(Mode::k64);
  EXPECT_EQ(write_cr(m, 2, 0x1234'5678'9abc), "done");
  EXPECT_EQ(read_cr(m, 2), 0x1234'5678'9abcu);
  EXPECT_EQ(write_cr(m, 8, 9), "done");
  EXPECT_EQ(read_cr(m, 8), 9u);
  EXPECT_EQ(m.board_.priority, 9);
  EXPECT_EQ(write_cr(m, 8, 16), "#GP(0)");
  EXPECT_EQ(read_cr(m, 3), TrapMachine::kTables);
  EXPECT_EQ(write_cr(m, 3, uint64_t{1} << 63), "#GP(0)");
  EXPECT_EQ(write_cr(m, 3, uint64_t{1} << 46), "#GP(0)");
  EXPECT_EQ(write_cr(m, 3, TrapMachine::kTables), "done");
  for (const unsigned number : {1u, 5u, 6u, 7u}) {
    const std::string what =
        m.emulate_bytes({0x0f, 0x22, static_cast<uint8_t>(0xc0 | number << 3)});
    EXPECT_TRUE(what == "undecodable" || what == "#UD") << number;
  }
}

TEST(Control, MachineStatusWord) {
  TrapMachine m(Mode::kReal);
  m.cpu().gpr[kRax] = 0xfff0 | 0x0a;  // MP and TS
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xf0}), "done");
  EXPECT_EQ(m.cpu().controls().cr0, 0x1au);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x06}), "done");  // clts
  EXPECT_EQ(m.cpu().controls().cr0, 0x12u);
  m.cpu().gpr[kRax] = 1;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xf0}), "done");
  EXPECT_TRUE(m.cpu().protected_mode());
  m.cpu().gpr[kRax] = 0;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xf0}), "done");
  EXPECT_TRUE(m.cpu().protected_mode()) << "LMSW cannot clear PE";
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xe0}), "done");  // smsw ax
  EXPECT_EQ(m.cpu().gpr[kRax], 0x11u);
}

// As kernels do it: PAE, CR3, EFER.LME, PG, a far jump; and back.
TEST(Control, IntoLongModeAndOut) {
  TrapMachine m(Mode::k32);
  m.set_word(TrapMachine::kTables, (TrapMachine::kTables + 0x1000) | 7);
  m.set_word(TrapMachine::kTables + 0x1000, (TrapMachine::kTables + 0x2000) | 7);
  for (uint64_t i = 0; i < 2; ++i)
    m.set_word(TrapMachine::kTables + 0x2000 + 8 * i, i << 21 | 0x87);
  EXPECT_EQ(write_cr(m, 4, 0x620), "done");
  EXPECT_EQ(write_cr(m, 3, TrapMachine::kTables), "done");
  EXPECT_EQ(m.write_msr(0xc0000080, 0x901), "done");
  EXPECT_EQ(m.write_msr(0xc0000080, 0x2), "#GP(0)");
  EXPECT_EQ(write_cr(m, 0, 0x8000'0011), "done");
  EXPECT_TRUE(m.cpu().long_mode());
  EXPECT_FALSE(m.cpu().code64());
  EXPECT_EQ(m.cpu().controls().efer, 0xd01u);
  EXPECT_EQ(m.write_msr(0xc0000080, 0x801), "#GP(0)") << "LME cannot change while paging is on";
  m.set_descriptor(TrapMachine::kFree,
                   TrapMachine::make(0, 0, seg::kP | seg::kS | seg::kCode | seg::kL));
  EXPECT_EQ(m.emulate_bytes({0xea, 0x00, 0x00, 0x01, 0x00, TrapMachine::kFree * 8, 0}), "done");
  EXPECT_TRUE(m.cpu().code64());
  EXPECT_EQ(m.cpu().bases[kSs], 0u);
  EXPECT_EQ(write_cr(m, 0, 0x11), "#GP(0)") << "PG from 64-bit code";
  m.enter(0);  // 32-bit code again
  EXPECT_EQ(write_cr(m, 0, 0x11), "done");
  EXPECT_FALSE(m.cpu().long_mode());
  EXPECT_EQ(m.cpu().controls().efer, 0x901u);
  EXPECT_EQ(write_cr(m, 0, 0x10), "done");
  EXPECT_TRUE(m.cpu().real_mode());
  EXPECT_EQ(m.cpu().state.cpl, 0);
}

TEST(Control, ProcessContexts) {
  TrapMachine m(Mode::k64);
  EXPECT_EQ(write_cr(m, 4, m.cpu().controls().cr4 | cr4::kPCIDE), "done");
  EXPECT_EQ(write_cr(m, 3, TrapMachine::kTables | 5), "done");
  EXPECT_EQ(write_cr(m, 3, TrapMachine::kTables | 6 | uint64_t{1} << 63), "done");
  EXPECT_EQ(read_cr(m, 3), TrapMachine::kTables | 6);
  // INVPCID of each type.
  m.cpu().gpr[kRbx] = TrapMachine::kData;
  const auto invpcid = [&](uint64_t type, uint64_t pcid, uint64_t address) {
    m.cpu().gpr[kRax] = type;
    m.set_word(TrapMachine::kData, pcid);
    m.set_word(TrapMachine::kData + 8, address);
    return m.emulate_bytes({0x66, 0x0f, 0x38, 0x82, 0x03});
  };
  EXPECT_EQ(invpcid(0, 5, 0x1000), "done");
  EXPECT_EQ(invpcid(0, 5, uint64_t{1} << 60), "#GP(0)");
  EXPECT_EQ(invpcid(1, 0x1000, 0), "#GP(0)");
  EXPECT_EQ(invpcid(2, 0, 0), "done");
  EXPECT_EQ(invpcid(3, 0, 0), "done");
  EXPECT_EQ(invpcid(4, 0, 0), "#GP(0)");
  EXPECT_EQ(invpcid(~uint64_t{0}, 0, 0), "#GP(0)");
  for (uint64_t type = 0; type < 4; ++type)
    EXPECT_EQ(invpcid(type, 1u << 12, 0), "#GP(0)") << "a reserved bit, type " << type;
  m.cpu().gpr[kRax] = 2;
  m.cpu().gpr[kRbx] = 0x7f00'0000'0000;
  EXPECT_EQ(m.emulate_bytes({0x66, 0x0f, 0x38, 0x82, 0x03}), "#PF(0)");
  m.cpu().gpr[kRbx] = uint64_t{1} << 47;
  EXPECT_EQ(m.emulate_bytes({0x66, 0x0f, 0x38, 0x82, 0x03}), "#GP(0)");
  m.cpu().gpr[kRsp] = uint64_t{1} << 47;
  EXPECT_EQ(m.emulate_bytes({0x66, 0x0f, 0x38, 0x82, 0x04, 0x24}), "#SS(0)");
  // Without PCIDs only number 0 is there.
  EXPECT_EQ(write_cr(m, 3, TrapMachine::kTables), "done");
  EXPECT_EQ(write_cr(m, 4, m.cpu().controls().cr4 & ~cr4::kPCIDE), "done");
  m.cpu().gpr[kRbx] = TrapMachine::kData;
  for (uint64_t type = 0; type < 2; ++type) {
    EXPECT_EQ(invpcid(type, 0, 0x1000), "done");
    EXPECT_EQ(invpcid(type, 1, 0x1000), "#GP(0)");
  }
}

// CR4.PCIDE and CR0.PG depend on each other, and on what CR3 holds (SDM vol. 3, 4.10.1).
TEST(Control, ProcessContextsComeAndGo) {
  TrapMachine m(Mode::k64);
  const uint64_t cr4 = m.cpu().controls().cr4;
  EXPECT_EQ(write_cr(m, 3, TrapMachine::kTables | 8), "done");
  EXPECT_EQ(write_cr(m, 4, cr4 | cr4::kPCIDE), "#GP(0)") << "CR3 has low bits";
  EXPECT_EQ(write_cr(m, 3, TrapMachine::kTables), "done");
  EXPECT_EQ(write_cr(m, 4, cr4 | cr4::kPCIDE), "done");
  EXPECT_EQ(write_cr(m, 4, cr4 & ~cr4::kPAE), "#GP(0)");
  // In compatibility mode paging could be switched off, but for the PCIDs.
  m.set_descriptor(TrapMachine::kFree, TrapMachine::make(0, 0xfffff,
                                                         seg::kP | seg::kS | seg::kCode |
                                                             seg::kReadable | seg::kG | seg::kDB));
  trap::Descriptor d;
  d.low = m.descriptor(TrapMachine::kFree);
  m.cpu().state.segments[kCs] = d.segment(TrapMachine::kFree * 8);
  m.cpu().mode_changed();
  EXPECT_FALSE(m.cpu().code64());
  EXPECT_EQ(write_cr(m, 0, 0x11), "#GP(0)") << "PCIDE is set";
  EXPECT_EQ(write_cr(m, 4, cr4), "done");
  EXPECT_EQ(write_cr(m, 0, 0x11), "done");
  EXPECT_FALSE(m.cpu().long_mode());
}

// PAE paging: the four topmost entries are read by MOV to CR3, and by those of CR0 and CR4 that
// turn it on; with reserved bits in one of them the instruction faults (SDM vol. 3, 4.4.1).
TEST(Control, TopmostEntriesOfPae) {
  TrapMachine m(Mode::k32);
  constexpr uint64_t kRoot = TrapMachine::kTables, kBad = TrapMachine::kTables + 32;
  m.set_word(kRoot, (kRoot + 0x1000) | 1);
  for (uint64_t i = 0; i < 2; ++i) m.set_word(kRoot + 0x1000 + 8 * i, i << 21 | 0x87);
  m.set_word(kBad, (kRoot + 0x1000) | 1 | 2);  // reserved
  EXPECT_EQ(write_cr(m, 4, 0x620), "done");
  EXPECT_EQ(write_cr(m, 3, kBad), "done") << "paging is off";
  EXPECT_EQ(write_cr(m, 0, 0x8000'0011), "#GP(0)");
  EXPECT_EQ(m.cpu().controls().cr0 >> 31, 0u);
  EXPECT_EQ(write_cr(m, 3, kRoot), "done");
  EXPECT_EQ(write_cr(m, 0, 0x8000'0011), "done");
  EXPECT_EQ(write_cr(m, 3, kBad), "#GP(0)");
  EXPECT_EQ(m.cpu().controls().cr3, kRoot);
  // What is in memory counts only when it is loaded.
  m.set_word(kRoot, 0x7f00'0001);
  uint64_t value = 0;
  m.cpu().memory.flush();
  EXPECT_TRUE(m.cpu().memory.load(0x2'0000, value));
  m.set_word(kRoot, 0x1e6);
  EXPECT_EQ(write_cr(m, 4, 0x620 ^ cr4::kPGE), "done") << "not present: no bit is reserved";
  EXPECT_FALSE(m.cpu().memory.load(0x2'0000, value));
  m.set_word(kRoot, (kRoot + 0x1000) | 0x1e7);
  EXPECT_EQ(write_cr(m, 4, 0x620), "#GP(0)");
}

// A page whose entry changes is seen anew after INVLPG, and not before CR3 is loaded otherwise.
TEST(Control, InvalidationsReachTheSoftwareTlb) {
  TrapMachine m(Mode::k64);
  const uint64_t entry = TrapMachine::kTables + 0x2000 + 8;
  uint64_t value = 0;
  m.set_word(0x2'0000, 0xaaaa);
  m.set_word(0x22'0000, 0xbbbb);
  ASSERT_TRUE(m.cpu().memory.load(0x22'0000, value));
  EXPECT_EQ(value, 0xbbbbu);
  m.set_word(entry, 0x87);  // the second 2 MiB are the first
  m.cpu().gpr[kRbx] = 0x22'0000;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x3b}), "done");
  ASSERT_TRUE(m.cpu().memory.load(0x22'0000, value));
  EXPECT_EQ(value, 0xaaaau);
  m.set_word(entry, 0x20'0087);
  EXPECT_EQ(write_cr(m, 3, TrapMachine::kTables), "done");
  ASSERT_TRUE(m.cpu().memory.load(0x22'0000, value));
  EXPECT_EQ(value, 0xbbbbu);
  m.cpu().gpr[kRbx] = uint64_t{1} << 55;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x3b}), "done") << "not canonical: nothing to do";
}

TEST(Control, DebugRegisters) {
  TrapMachine m(Mode::k64);
  const auto write = [&](unsigned number, uint64_t value) {
    m.cpu().gpr[kRax] = value;
    return m.emulate_bytes({0x0f, 0x23, static_cast<uint8_t>(0xc0 | number << 3)});
  };
  const auto read = [&](unsigned number) {
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x21, static_cast<uint8_t>(0xc0 | number << 3)}), "done");
    return m.cpu().gpr[kRax];
  };
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_EQ(write(i, 0x1234'5678'9abc'def0), "done");
    EXPECT_EQ(read(i), 0x1234'5678'9abc'def0u);
  }
  EXPECT_EQ(write(6, 0xffff'ffff), "done");
  EXPECT_EQ(read(6), 0xffff'effeu | 1);
  EXPECT_EQ(write(6, 0), "done");
  EXPECT_EQ(read(4), 0xffff'0ff0u) << "DR4 is DR6 without CR4.DE";
  EXPECT_EQ(write(7, 0xffff'dfff), "done");
  EXPECT_EQ(read(7), 0xffff'07ffu);
  EXPECT_EQ(write(7, uint64_t{1} << 32), "#GP(0)");
  EXPECT_EQ(write(6, uint64_t{1} << 32), "#GP(0)");
  EXPECT_EQ(write_cr(m, 4, m.cpu().controls().cr4 | 8), "done");
  EXPECT_EQ(write(5, 0), "#UD");
  // General detect.
  EXPECT_EQ(write(7, 0x2000), "done");
  EXPECT_EQ(write(0, 0), "#DB");
  EXPECT_EQ(m.cpu().state.dr[6] & 0x2000, 0x2000u);
  m.set_gate(kDebug, TrapMachine::code(0), 0x100, 14, 0);
  EXPECT_EQ(deliver(m.cpu(), m.cpu().exit.fault), Emulated::kDone);
  EXPECT_EQ(write(0, 0), "done");
}

TEST(Control, ResetAndStart) {
  TrapMachine m(Mode::k64);
  EXPECT_EQ(write_cr(m, 4, m.cpu().controls().cr4 | cr4::kPCIDE | cr4::kSMAP), "done");
  m.enter(3);
  m.cpu().state.halted = true;
  m.cpu().set_rflags(flag::kOne | flag::kAC);
  reset_processor(m.cpu());
  EXPECT_TRUE(m.cpu().real_mode());
  EXPECT_EQ(m.cpu().controls().cr0, 0x6000'0010u);
  EXPECT_EQ(m.cpu().controls().cr4, 0u);
  EXPECT_EQ(m.cpu().controls().efer, 0u);
  EXPECT_FALSE(m.cpu().controls().ac);
  EXPECT_EQ(m.cpu().rip, 0xfff0u);
  EXPECT_EQ(m.cpu().state.cpl, 0);
  EXPECT_EQ(m.cpu().state.segments[kCs].selector, 0xf000);
  EXPECT_EQ(m.cpu().rflags(), flag::kOne);
  EXPECT_EQ(m.cpu().gpr[kRdx], 0x6fbu);
  start_processor(m.cpu(), 0x12);
  EXPECT_EQ(m.cpu().bases[kCs], 0x12000u);
  EXPECT_EQ(m.cpu().rip, 0u);
}

}  // namespace
}  // namespace gnomon::vmm

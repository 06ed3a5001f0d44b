// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/trap/machine.h"

// Registers of descriptor tables, and queries of descriptors.

namespace gnomon::vmm {
namespace {

TEST(Tables, LoadAndStore) {
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    const unsigned bytes = mode == Mode::k64 ? 8 : 4;
    m.cpu().gpr[kRbx] = TrapMachine::kData;
    m.set_word(TrapMachine::kData, 0x123, 2);
    m.set_word(TrapMachine::kData + 2, 0x7654'3210, bytes);
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x1b}), "done");  // lidt [rbx]
    EXPECT_EQ(m.cpu().state.idtr, (TableRegister{0x7654'3210, 0x123}));
    m.cpu().gpr[kRbx] = TrapMachine::kData + 0x100;
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x0b}), "done");  // sidt [rbx]
    EXPECT_EQ(m.word(TrapMachine::kData + 0x100, 2), 0x123u);
    EXPECT_EQ(m.word(TrapMachine::kData + 0x102, bytes), 0x7654'3210u);
    if (mode == Mode::k64) {
      m.set_word(TrapMachine::kData + 2, uint64_t{1} << 50);
      m.cpu().gpr[kRbx] = TrapMachine::kData;
      EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x13}), "#GP(0)");
    } else {
      m.cpu().gpr[kRbx] = TrapMachine::kData;
      EXPECT_EQ(m.emulate_bytes({0x66, 0x0f, 0x01, 0x13}), "done");
      EXPECT_EQ(m.cpu().state.gdtr.base, 0x54'3210u) << "24 bits";
    }
  }
}

TEST(Tables, TaskAndLocalTable) {
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    constexpr unsigned kIndex = TrapMachine::kFree;
    const auto load = [&](uint8_t modrm, unsigned type, bool present, uint64_t selector,
                          uint64_t high = 0) {
      m.set_descriptor(
          kIndex,
          TrapMachine::make(0x4000, 0xfff, static_cast<uint16_t>(type | (present ? seg::kP : 0))));
      m.set_descriptor(kIndex + 1, high);
      m.cpu().gpr[kRax] = selector;
      return m.emulate_bytes({0x0f, 0x00, modrm});
    };
    constexpr uint8_t kLldt = 0xd0, kLtr = 0xd8;
    const std::string bad = fault_text(13, kIndex * 8);
    for (unsigned type = 0; type < 32; ++type) {
      const bool task = type == 9 || (type == 1 && mode == Mode::k32);
      EXPECT_EQ(load(kLtr, type, true, kIndex * 8), task ? "done" : bad) << type;
      EXPECT_EQ(load(kLldt, type, true, kIndex * 8), type == 2 ? "done" : bad) << type;
    }
    EXPECT_EQ(load(kLtr, 9, false, kIndex * 8), fault_text(11, kIndex * 8));
    EXPECT_EQ(load(kLldt, 2, false, kIndex * 8), fault_text(11, kIndex * 8));
    EXPECT_EQ(load(kLtr, 9, true, 0), "#GP(0)");
    EXPECT_EQ(load(kLldt, 2, true, 0), "done");
    EXPECT_FALSE(m.cpu().state.ldtr.present());
    EXPECT_EQ(load(kLtr, 9, true, kIndex * 8 | 4), fault_text(13, kIndex * 8 | 4));
    EXPECT_EQ(load(kLtr, 9, true, kIndex * 8), "done");
    EXPECT_EQ(m.descriptor(kIndex) >> 40 & 15, 11u) << "busy";
    EXPECT_EQ(m.cpu().state.tr.attributes & 15, 11);
    if (mode == Mode::k64) {
      EXPECT_EQ(load(kLtr, 9, true, kIndex * 8, 0xffff'8000), "done");
      EXPECT_EQ(m.cpu().state.tr.base, 0xffff'8000'0000'4000u);
      EXPECT_EQ(load(kLtr, 9, true, kIndex * 8, 0x0001'0000), bad) << "not canonical";
      EXPECT_EQ(load(kLtr, 9, true, kIndex * 8, uint64_t{2} << 40), bad)
          << "a type in the upper half";
    }
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x00, 0xc8}), "done");  // str eax
    EXPECT_EQ(m.cpu().gpr[kRax], kIndex * 8u);
  }
}

TEST(Tables, StoresThatFaultStoreNothing) {
  TrapMachine m(Mode::k64);
  const uint64_t entry = TrapMachine::kTables + 0x2008;  // the second 2 MiB
  const uint64_t end = 2u << 20;
  for (const auto& [flags, error] : {std::pair<uint64_t, unsigned>{0, 2}, {0x20'0085, 3}}) {
    m.set_word(entry, flags);
    m.cpu().memory.flush();
    for (const uint8_t modrm : {0x03, 0x0b}) {  // sgdt, sidt [rbx]
      m.cpu().gpr[kRbx] = end - 6;
      m.set_word(end - 6, 0x5555'5555'5555, 6);
      EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, modrm}), fault_text(14, error));
      EXPECT_EQ(m.cpu().exit.fault.cr2, end);
      EXPECT_EQ(m.word(end - 6, 6), 0x5555'5555'5555u);
    }
    m.cpu().gpr[kRbx] = end;
    for (const uint8_t modrm : {0x03, 0x0b}) {  // sldt, str [rbx]
      EXPECT_EQ(m.emulate_bytes({0x0f, 0x00, modrm}), fault_text(14, error));
    }
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x23}), fault_text(14, error));  // smsw [rbx]
  }
  m.cpu().gpr[kRbx] = uint64_t{1} << 47;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x03}), "#GP(0)") << "not canonical";
  m.cpu().gpr[kRsp] = uint64_t{1} << 47;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x0c, 0x24}), "#SS(0)") << "sidt [rsp]";
}

TEST(Tables, StoresGoByTheSegment) {
  TrapMachine m(Mode::k32);
  m.cpu().gpr[kRbx] = TrapMachine::kData;
  m.cpu().state.segments[kDs].limit = TrapMachine::kData + 4;
  m.cpu().mode_changed();
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x03}), "#GP(0)");
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x00, 0x03}), "done") << "2 bytes";
  m.cpu().state.segments[kDs].attributes &= static_cast<uint16_t>(~seg::kWritable);
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x00, 0x0b}), "#GP(0)");
  m.cpu().state.segments[kSs].limit = TrapMachine::kData;
  EXPECT_EQ(m.emulate_bytes({0x36, 0x0f, 0x01, 0x0b}), "#SS(0)");
}

TEST(Tables, RealMode) {
  TrapMachine m(Mode::kReal);
  m.cpu().gpr[kRbx] = 0x700;
  m.cpu().state.gdtr = {0xabcd'1234, 0x77};
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x07}), "done");  // sgdt [bx]
  EXPECT_EQ(m.word(0x700, 6), 0xabcd'1234'0077u) << "all 32 bits of the base";
  EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0x17}), "done");  // lgdt [bx]
  EXPECT_EQ(m.cpu().state.gdtr, (TableRegister{0xcd'1234, 0x77})) << "24 bits of it";
  for (const uint8_t modrm : {0xc0, 0xc8, 0xd0, 0xd8})  // SLDT, STR, LLDT, LTR
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x00, modrm}), "#UD");
}

TEST(Tables, Umip) {
  TrapMachine m(Mode::k64);
  m.cpu().gpr[kRbx] = TrapMachine::kData;
  const std::vector<std::vector<uint8_t>> all = {{0x0f, 0x01, 0x03},
                                                 {0x0f, 0x01, 0x0b},
                                                 {0x0f, 0x00, 0xc0},
                                                 {0x0f, 0x00, 0xc8},
                                                 {0x0f, 0x01, 0xe0}};
  m.enter(3);
  for (const auto& bytes : all) EXPECT_EQ(m.emulate_bytes(bytes), "done");
  m.cpu().mmu().write_controls(m.cpu().controls().cr0, m.cpu().controls().cr4 | 1u << 11,
                               m.cpu().controls().efer);
  for (const auto& bytes : all) EXPECT_EQ(m.emulate_bytes(bytes), "#GP(0)");
  m.enter(0);
  for (const auto& bytes : all) EXPECT_EQ(m.emulate_bytes(bytes), "done");
}

// LAR, LSL, VERR, VERW over all types and levels, against the manual's tables.
TEST(Query, EveryDescriptorAndLevel) {
  constexpr unsigned kIndex = TrapMachine::kFree;
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    for (unsigned n = 0; n < 32 * 4 * 4 * 4; ++n) {
      const unsigned type = n % 32, dpl = n / 32 % 4, rpl = n / 128 % 4, cpl = n / 512;
      m.enter(cpl);
      m.set_descriptor(kIndex, TrapMachine::make(0x1000, 0x12345,
                                                 static_cast<uint16_t>(type | dpl << 5 | seg::kG)));
      const bool s = type >= 16;
      const bool code = type >= 24;
      const bool conforming = code && (type & 4) != 0;
      const bool level = conforming || (dpl >= cpl && dpl >= rpl);
      const bool readable = s && (!code || (type & 2) != 0);
      const bool writable = s && !code && (type & 2) != 0;
      const std::string legacy_lar = "1 2 3 4 5 9 11 12 ", long_lar = "2 9 11 12 ";
      const std::string legacy_lsl = "1 2 3 9 11 ", long_lsl = "2 9 11 ";
      const auto in = [&](const std::string& list) {
        return s || absl::StrCat(" ", list).find(absl::StrCat(" ", type, " ")) != std::string::npos;
      };
      const bool wide = mode == Mode::k64;
      const auto check = [&](std::vector<uint8_t> bytes, bool want, std::optional<uint64_t> value) {
        m.cpu().gpr[kRax] = kIndex * 8 | rpl;
        m.cpu().gpr[kRcx] = 0x5555;
        ASSERT_EQ(m.emulate_bytes(bytes), "done");
        ASSERT_EQ(m.cpu().flags.zf(), want)
            << "type " << type << " dpl " << dpl << " rpl " << rpl << " cpl " << cpl;
        if (value) ASSERT_EQ(m.cpu().gpr[kRcx], want ? *value : 0x5555);
      };
      check({0x0f, 0x00, 0xe0}, readable && level, std::nullopt);
      check({0x0f, 0x00, 0xe8}, writable && level, std::nullopt);
      check({0x0f, 0x02, 0xc8}, in(wide ? long_lar : legacy_lar) && level,
            0x800000u | type << 8 | dpl << 13);
      check({0x0f, 0x03, 0xc8}, in(wide ? long_lsl : legacy_lsl) && level, 0x12345fff);
    }
  }
}

TEST(Query, Arpl) {
  TrapMachine m(Mode::k32);
  for (unsigned a = 0; a < 4; ++a) {
    for (unsigned b = 0; b < 4; ++b) {
      m.cpu().gpr[kRax] = 0x120 | a;
      m.cpu().gpr[kRcx] = 0x330 | b;
      EXPECT_EQ(m.emulate_bytes({0x63, 0xc8}), "done");  // arpl ax, cx
      EXPECT_EQ(m.cpu().gpr[kRax], 0x120 | std::max(a, b));
      EXPECT_EQ(m.cpu().flags.zf(), a < b);
    }
  }
  TrapMachine real(Mode::kReal);
  EXPECT_EQ(real.emulate_bytes({0x63, 0xc8}), "#UD");
  EXPECT_EQ(real.emulate_bytes({0x0f, 0x00, 0xe0}), "#UD");
}

}  // namespace
}  // namespace gnomon::vmm

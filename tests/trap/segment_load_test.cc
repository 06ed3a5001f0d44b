// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/trap/machine.h"

// Every descriptor type, DPL, RPL and CPL, present or not, against the rules of the manual.

namespace gnomon::vmm {
namespace {

constexpr unsigned kIndex = TrapMachine::kFree;

// The types as the manual's table 3-1 lists them. A system descriptor is none of these.
struct Type {
  bool data, writable, code, readable, conforming;
};
Type type_of(bool s, unsigned type) {
  if (!s) return {};
  constexpr Type kTypes[16] = {
      // read-only, accessed; read/write, accessed; the same expanding down
      {true, false, false, false, false},
      {true, false, false, false, false},
      {true, true, false, false, false},
      {true, true, false, false, false},
      {true, false, false, false, false},
      {true, false, false, false, false},
      {true, true, false, false, false},
      {true, true, false, false, false},
      // execute-only; execute/read; the same conforming
      {false, false, true, false, false},
      {false, false, true, false, false},
      {false, false, true, true, false},
      {false, false, true, true, false},
      {false, false, true, false, true},
      {false, false, true, false, true},
      {false, false, true, true, true},
      {false, false, true, true, true},
  };
  return kTypes[type];
}

std::string expected_data(const Type& t, bool present, unsigned dpl, unsigned rpl, unsigned cpl,
                          uint32_t error) {
  if (!t.data && !(t.code && t.readable)) return fault_text(13, error);
  if ((t.data || !t.conforming) && (rpl > dpl || cpl > dpl)) return fault_text(13, error);
  return present ? "done" : fault_text(11, error);
}

std::string expected_stack(const Type& t, bool present, unsigned dpl, unsigned rpl, unsigned cpl,
                           uint32_t error) {
  if (rpl != cpl || !t.data || !t.writable || dpl != cpl) return fault_text(13, error);
  return present ? "done" : fault_text(12, error);
}

struct Load {
  std::vector<uint8_t> bytes;
  SegmentRegister reg;
};
// MOV from AX.
const std::vector<Load> kLoads = {{{0x8e, 0xd8}, kDs}, {{0x8e, 0xe0}, kFs}, {{0x8e, 0xd0}, kSs}};

TEST(SegmentLoad, EveryDescriptorAndLevel) {
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    for (unsigned n = 0; n < 32 * 2 * 4 * 4 * 4 * 3; ++n) {
      const unsigned type = n % 16;
      const bool s = n / 16 % 2 != 0;
      const bool present = n / 32 % 2 != 0;
      const unsigned dpl = n / 64 % 4;
      const unsigned rpl = n / 256 % 4;
      const unsigned cpl = n / 1024 % 4;
      const Load& load = kLoads[n / 4096];
      const auto attributes = static_cast<uint16_t>(type | s << 4 | dpl << 5 |
                                                    (present ? seg::kP : 0) | seg::kDB | seg::kG);
      m.enter(cpl);
      m.set_descriptor(kIndex, TrapMachine::make(0x123000, 0x45678, attributes));
      const auto selector = static_cast<uint16_t>(kIndex * 8 | rpl);
      m.cpu().gpr[kRax] = selector;
      const Segment before = m.cpu().state.segments[load.reg];
      const uint64_t descriptor = m.descriptor(kIndex);
      const auto expected = (load.reg == kSs ? expected_stack : expected_data)(
          type_of(s, type), present, dpl, rpl, cpl, kIndex * 8);
      const std::string what =
          absl::StrCat(name_of(mode), " register ", load.reg, " type ", type, " s ", s, " present ",
                       present, " dpl ", dpl, " rpl ", rpl, " cpl ", cpl);
      ASSERT_EQ(m.emulate_bytes(load.bytes), expected) << what;
      const Segment& after = m.cpu().state.segments[load.reg];
      if (expected != "done") {
        ASSERT_EQ(after, before) << what;
        ASSERT_EQ(m.descriptor(kIndex), descriptor) << what;
        continue;
      }
      ASSERT_EQ(after.selector, selector) << what;
      ASSERT_EQ(after.base, 0x123000u) << what;
      ASSERT_EQ(after.limit, 0x45678fffu) << what;
      ASSERT_EQ(after.attributes, attributes | seg::kAccessed) << what;
      ASSERT_EQ(m.descriptor(kIndex), descriptor | uint64_t{1} << 40) << what << ": accessed";
      ASSERT_EQ(m.cpu().state.interrupt_shadow, load.reg == kSs) << what;
    }
  }
}

TEST(SegmentLoad, NullSelectors) {
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    TrapMachine m(mode);
    for (unsigned cpl = 0; cpl < 4; ++cpl) {
      for (unsigned rpl = 0; rpl < 4; ++rpl) {
        m.enter(cpl);
        m.cpu().gpr[kRax] = rpl;
        EXPECT_EQ(m.emulate_bytes({0x8e, 0xd8}), "done");
        EXPECT_EQ(m.cpu().state.segments[kDs].attributes, 0);
        EXPECT_EQ(m.cpu().state.segments[kDs].selector, rpl);
        const bool allowed = mode == Mode::k64 && cpl != 3 && rpl == cpl;
        EXPECT_EQ(m.emulate_bytes({0x8e, 0xd0}), allowed ? "done" : "#GP(0)") << cpl << " " << rpl;
      }
    }
  }
}

TEST(SegmentLoad, TablesEndWhereTheirLimitSays) {
  TrapMachine m(Mode::k32);
  m.set_descriptor(kIndex, m.descriptor(TrapMachine::data(3) / 8));
  m.cpu().gpr[kRax] = kIndex * 8 + 3;
  m.cpu().state.gdtr.limit = kIndex * 8 + 7;
  EXPECT_EQ(m.emulate_bytes({0x8e, 0xd8}), "done");
  m.cpu().state.gdtr.limit = kIndex * 8 + 6;
  EXPECT_EQ(m.emulate_bytes({0x8e, 0xd8}), fault_text(13, kIndex * 8));
  // An LDT: there, too short, not there.
  m.set_word(TrapMachine::kLdt + 8, m.descriptor(TrapMachine::data(3) / 8));
  m.cpu().gpr[kRax] = 0x0f;
  EXPECT_EQ(m.emulate_bytes({0x8e, 0xd8}), "done");
  m.cpu().state.ldtr.limit = 14;
  EXPECT_EQ(m.emulate_bytes({0x8e, 0xd8}), "#GP(c)");
  m.cpu().state.ldtr = {};
  EXPECT_EQ(m.emulate_bytes({0x8e, 0xd8}), "#GP(c)");
}

TEST(SegmentLoad, RealModeTakesAnything) {
  TrapMachine m(Mode::kReal);
  m.cpu().gpr[kRax] = 0xabcd;
  m.cpu().state.segments[kDs].limit = 0xffff'ffff;  // left by protected mode
  EXPECT_EQ(m.emulate_bytes({0x8e, 0xd8}), "done");
  EXPECT_EQ(m.cpu().state.segments[kDs].base, 0xabcd0u);
  EXPECT_EQ(m.cpu().state.segments[kDs].limit, 0xffff'ffffu);
  EXPECT_EQ(m.cpu().bases[kDs], 0xabcd0u);
  EXPECT_EQ(m.emulate_bytes({0x8e, 0xc8}), "undecodable") << "MOV to CS";
}

TEST(SegmentLoad, FarPointers) {
  TrapMachine m(Mode::k32);
  m.set_word(TrapMachine::kData, 0x11223344, 4);
  m.set_word(TrapMachine::kData + 4, TrapMachine::data(3), 2);
  m.cpu().gpr[kRbx] = TrapMachine::kData;
  EXPECT_EQ(m.emulate_bytes({0xc4, 0x0b}), "done");  // les ecx, [ebx]
  EXPECT_EQ(m.cpu().gpr[kRcx], 0x11223344u);
  EXPECT_EQ(m.cpu().state.segments[kEs].selector, TrapMachine::data(3));
  m.set_word(TrapMachine::kData + 4, 0xfff8, 2);
  m.cpu().gpr[kRcx] = 0;
  EXPECT_EQ(m.emulate_bytes({0x0f, 0xb2, 0x0b}), "#GP(fff8)");  // lss ecx, [ebx]
  EXPECT_EQ(m.cpu().gpr[kRcx], 0u);
}

}  // namespace
}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/native_cpu/flat_machine.h"
#include "tests/scenario/random.h"

// PUSH, POP and relatives in all modes and widths, against a model with a byte array for a stack.

namespace gnomon::vmm {
namespace {

using Bytes = std::vector<uint8_t>;

unsigned natural_bytes(CodeKind kind) {
  return kind == CodeKind::kReal16 ? 2 : kind == CodeKind::kFlat32 ? 4 : 8;
}

uint64_t load_number(FlatMachine& m, uint64_t at, unsigned bytes) {
  uint64_t value = 0;
  std::memcpy(&value, m.ram(at), bytes);
  return value;
}
void store_number(FlatMachine& m, uint64_t at, uint64_t value, unsigned bytes) {
  std::memcpy(m.ram(at), &value, bytes);
}
uint64_t cut(uint64_t value, unsigned bytes) {
  return bytes == 8 ? value : value & ((uint64_t{1} << 8 * bytes) - 1);
}
// What a register is after `bytes` bytes were written to it.
uint64_t merged(uint64_t old, uint64_t value, unsigned bytes) {
  return bytes == 2 ? (old & ~uint64_t{0xffff}) | cut(value, 2) : cut(value, bytes);
}

struct Case {
  CodeKind kind;
  bool prefix;
  unsigned bytes() const {
    const unsigned n = natural_bytes(kind);
    return !prefix ? n : n == 2 ? 4 : 2;
  }
  Bytes code(Bytes rest) const {
    if (prefix) rest.insert(rest.begin(), 0x66);
    return rest;
  }
};
const std::vector<Case>& cases() {
  static const auto* all = [] {
    auto* v = new std::vector<Case>;
    for (const CodeKind kind : kCodeKinds) {
      for (const bool prefix : {false, true}) v->push_back({kind, prefix});
    }
    return v;
  }();
  return *all;
}

void randomize(FlatMachine& m, CodeKind kind, scenario::Random& random) {
  for (unsigned i = 0; i < (kind == CodeKind::kLong64 ? 16u : 8u); ++i) {
    if (i != kRsp)
      m.cpu().gpr[i] = kind == CodeKind::kLong64 ? random.next() : random.next() & 0xffff'ffff;
  }
  m.cpu().gpr[kRsp] = FlatMachine::kStack + 2 * random.below(8);
  for (int i = -128; i < 128; ++i) {
    *m.ram(FlatMachine::kStack + static_cast<uint64_t>(int64_t{i})) =
        static_cast<uint8_t>(random.next());
  }
}

TEST(Stack, PushesAndPopsEveryRegister) {
  scenario::Random random(1);
  for (const Case& c : cases()) {
    for (uint8_t r = 0; r < 8; ++r) {
      FlatMachine m(c.kind);
      randomize(m, c.kind, random);
      const auto before = m.cpu().gpr;
      m.load(c.code({static_cast<uint8_t>(0x50 + r)}));
      ASSERT_EQ(m.run(1), ExitReason::kBudget);
      EXPECT_EQ(m.cpu().gpr[kRsp], before[kRsp] - c.bytes());
      // PUSH SP pushes what it was.
      EXPECT_EQ(load_number(m, before[kRsp] - c.bytes(), c.bytes()), cut(before[r], c.bytes()));

      randomize(m, c.kind, random);
      auto expected = m.cpu().gpr;
      const uint64_t value = load_number(m, expected[kRsp], c.bytes());
      expected[kRsp] += c.bytes();
      expected[r] = merged(expected[r], value, c.bytes());
      m.load(c.code({static_cast<uint8_t>(0x58 + r)}));
      ASSERT_EQ(m.run(1), ExitReason::kBudget);
      expected[kBlockStart] = m.cpu().gpr[kBlockStart];
      EXPECT_EQ(m.cpu().gpr, expected) << "pop " << int{r} << " of " << c.bytes();
    }
  }
}

TEST(Stack, PushesImmediatesSegmentsAndMemory) {
  for (const Case& c : cases()) {
    const auto pushed = [&](const Bytes& code) {
      FlatMachine m(c.kind);
      m.cpu().state.segments[kFs].selector = 0xbeef;
      m.cpu().gpr[kRbx] = m.cpu().gpr[kRdi] = 0x5000;
      store_number(m, 0x5000, 0x8877'6655'4433'2211, 8);
      m.load(c.code(code));
      EXPECT_EQ(m.run(1), ExitReason::kBudget);
      EXPECT_EQ(m.cpu().gpr[kRsp], FlatMachine::kStack - c.bytes());
      return load_number(m, FlatMachine::kStack - c.bytes(), c.bytes());
    };
    EXPECT_EQ(pushed({0x6a, 0x80}), cut(~uint64_t{0x7f}, c.bytes()));
    const unsigned width = std::min(c.bytes(), 4u);
    Bytes wide = {0x68, 0x78, 0x96};
    if (width == 4) wide = {0x68, 0x78, 0x56, 0x34, 0x92};
    const uint64_t value = width == 4 ? 0xffff'ffff'9234'5678 : 0x9678;
    EXPECT_EQ(pushed(wide), cut(value, c.bytes()));
    EXPECT_EQ(pushed({0x0f, 0xa0}), 0xbeefu);
    EXPECT_EQ(pushed({0xff, 0x37}), cut(0x8877'6655'4433'2211, c.bytes()));  // [bx] or [edi], [rdi]
  }
}

TEST(Stack, PopToMemoryComputesItsAddressAfterThePointerHasMoved) {
  for (const Case& c : cases()) {
    if (c.kind == CodeKind::kReal16) continue;  // 16-bit addresses know no SP
    FlatMachine m(c.kind);
    store_number(m, FlatMachine::kStack, 0x1122'3344'5566'7788, 8);
    m.load(c.code({0x8f, 0x44, 0x24, 0x10}));  // pop [esp + 16]
    EXPECT_EQ(m.run(1), ExitReason::kBudget);
    EXPECT_EQ(m.cpu().gpr[kRsp], FlatMachine::kStack + c.bytes());
    EXPECT_EQ(load_number(m, FlatMachine::kStack + c.bytes() + 16, c.bytes()),
              cut(0x1122'3344'5566'7788, c.bytes()));
  }
  FlatMachine m(CodeKind::kReal16);
  m.cpu().gpr[kRbx] = 0x5000;
  store_number(m, FlatMachine::kStack, 0x7788, 2);
  m.load(Bytes{0x8f, 0x07});
  EXPECT_EQ(m.run(1), ExitReason::kBudget);
  EXPECT_EQ(load_number(m, 0x5000, 2), 0x7788u);
}

TEST(Stack, WrapsAtTheWidthOfTheStackSegment) {
  // SS.B clear in 32-bit code: SP alone moves.
  FlatMachine m(CodeKind::kFlat32);
  m.cpu().state.segments[kSs].attributes &= static_cast<uint16_t>(~seg::kDB);
  m.cpu().mode_changed();
  m.cpu().gpr[kRsp] = 0x1234'0002;
  m.cpu().gpr[kRax] = 0xaabb'ccdd;
  m.load(Bytes{0x66, 0x50, 0x50, 0x58, 0x59});  // push ax; push eax; pop eax; pop ecx
  EXPECT_EQ(m.run(2), ExitReason::kBudget);
  EXPECT_EQ(m.cpu().gpr[kRsp], 0x1234'fffcu);
  EXPECT_EQ(load_number(m, 0, 2), 0xccddu);
  EXPECT_EQ(load_number(m, 0xfffc, 4), 0xaabb'ccddu);
  EXPECT_EQ(m.run(1), ExitReason::kBudget);
  EXPECT_EQ(m.cpu().gpr[kRsp], 0x1234'0000u);
}

TEST(Stack, PushesAndPopsAll) {
  scenario::Random random(3);
  for (const Case& c : cases()) {
    if (c.kind == CodeKind::kLong64) continue;
    const unsigned n = c.bytes();
    FlatMachine m(c.kind);
    randomize(m, c.kind, random);
    auto before = m.cpu().gpr;
    m.load(c.code({0x60}));
    ASSERT_EQ(m.run(1), ExitReason::kBudget);
    EXPECT_EQ(m.cpu().gpr[kRsp], before[kRsp] - 8 * n);
    for (unsigned i = 0; i < 8; ++i) {
      EXPECT_EQ(load_number(m, before[kRsp] - (i + 1) * n, n), cut(before[i], n)) << i;
    }
    randomize(m, c.kind, random);
    auto expected = m.cpu().gpr;
    for (unsigned i = 0; i < 8; ++i) {
      expected[i] =
          merged(expected[i], load_number(m, before[kRsp] = m.cpu().gpr[kRsp] + (7 - i) * n, n), n);
    }
    expected[kRsp] = m.cpu().gpr[kRsp] + 8 * n;
    m.load(c.code({0x61}));
    ASSERT_EQ(m.run(1), ExitReason::kBudget);
    expected[kBlockStart] = m.cpu().gpr[kBlockStart];
    EXPECT_EQ(m.cpu().gpr, expected);
  }
}

// ENTER as the manual's pseudo-code has it.
TEST(Stack, EntersAndLeavesFramesOfAllLevels) {
  scenario::Random random(4);
  for (const Case& c : cases()) {
    const unsigned n = c.bytes();
    const unsigned width = natural_bytes(c.kind);  // of the stack
    for (unsigned level = 0; level < 64; ++level) {
      FlatMachine m(c.kind);
      randomize(m, c.kind, random);
      m.cpu().gpr[kRbp] = FlatMachine::kStack + 0x200;
      for (unsigned i = 0; i < 0x300; ++i) *m.ram(0x9000 + i) = static_cast<uint8_t>(random.next());
      const uint64_t size = random.below(0x1000);
      const auto before = m.cpu().gpr;
      std::vector<uint64_t> pushed = {before[kRbp]};
      for (unsigned i = 1; i < level % 32; ++i)
        pushed.push_back(load_number(m, before[kRbp] - i * n, n));
      if (level % 32 > 0) pushed.push_back(before[kRsp] - n);
      m.load(c.code({0xc8, static_cast<uint8_t>(size), static_cast<uint8_t>(size >> 8),
                     static_cast<uint8_t>(level)}));
      ASSERT_EQ(m.run(1), ExitReason::kBudget) << "level " << level;
      for (size_t i = 0; i < pushed.size(); ++i) {
        EXPECT_EQ(load_number(m, before[kRsp] - (i + 1) * n, n), cut(pushed[i], n))
            << "level " << level;
      }
      EXPECT_EQ(m.cpu().gpr[kRsp], before[kRsp] - pushed.size() * n - size);
      EXPECT_EQ(m.cpu().gpr[kRbp], merged(before[kRbp], before[kRsp] - n, width));
      m.load(c.code({0xc9}));
      ASSERT_EQ(m.run(1), ExitReason::kBudget);
      EXPECT_EQ(m.cpu().gpr[kRsp], before[kRsp]);
      EXPECT_EQ(cut(m.cpu().gpr[kRbp], n), cut(before[kRbp], n));
    }
  }
}

// Two pages below the stack pointer are there, the third is not: whatever reaches it changes
// nothing.
TEST(Stack, FaultsChangeNothing) {
  scenario::Random random(5);
  struct Row {
    CodeKind kind;
    Bytes code;
  };
  for (const Row& row : {Row{CodeKind::kReal16, {0x60}}, Row{CodeKind::kReal16, {0x66, 0x60}},
                         Row{CodeKind::kReal16, {0x61}}, Row{CodeKind::kReal16, {0xc8, 4, 0, 9}},
                         Row{CodeKind::kReal16, {0x50}}, Row{CodeKind::kReal16, {0x58}},
                         Row{CodeKind::kReal16, {0xff, 0x37}}, Row{CodeKind::kReal16, {0x8f, 0x07}},
                         Row{CodeKind::kFlat32, {0x60}}, Row{CodeKind::kFlat32, {0x61}},
                         Row{CodeKind::kFlat32, {0xc8, 4, 0, 9}}, Row{CodeKind::kFlat32, {0x50}}}) {
    FlatMachine m(row.kind);
    randomize(m, row.kind, random);
    // The stack segment ends where the third push (or pop) would be.
    Segment& ss = m.cpu().state.segments[kSs];
    const bool pops =
        row.code == Bytes{0x61} || row.code == Bytes{0x58} || row.code == Bytes{0x8f, 0x07};
    if (pops) {
      ss.limit = FlatMachine::kStack + 5;
      if (row.code != Bytes{0x61}) ss.limit = FlatMachine::kStack;
    } else {
      ss.attributes |= seg::kExpandDown;
      ss.limit = FlatMachine::kStack - 6;
      if (row.code == Bytes{0x50} || row.code == Bytes{0xff, 0x37})
        ss.limit = FlatMachine::kStack - 1;
    }
    m.cpu().gpr[kRsp] = m.cpu().gpr[kRbp] = FlatMachine::kStack;
    m.cpu().gpr[kRbx] = 0x5000;
    if (row.kind == CodeKind::kReal16 && !pops)
      continue;  // real mode knows no expand-down segments
    m.cpu().mode_changed();
    m.load(row.code);
    const CpuState before = m.cpu().snapshot();
    const Bytes memory(m.ram(FlatMachine::kStack - 256), m.ram(FlatMachine::kStack + 256));
    EXPECT_EQ(m.run(1), ExitReason::kFault) << int{row.code[0]};
    EXPECT_EQ(m.cpu().exit.fault.vector, kStackFault);
    EXPECT_EQ(m.cpu().snapshot(), before);
    EXPECT_EQ(Bytes(m.ram(FlatMachine::kStack - 256), m.ram(FlatMachine::kStack + 256)), memory);
  }
  for (const Bytes& code :
       {Bytes{0x50}, Bytes{0x58}, Bytes{0xc8, 4, 0, 2}, Bytes{0xc9}, Bytes{0x8f, 0x00}}) {
    FlatMachine m(CodeKind::kLong64);
    m.cpu().gpr[kRsp] = m.cpu().gpr[kRbp] = 0x4000'0000;
    if (code[0] == 0x8f) {
      m.cpu().gpr[kRsp] = FlatMachine::kStack;
      m.cpu().gpr[kRax] = 0x4000'0000;
    }
    m.load(code);
    const CpuState before = m.cpu().snapshot();
    EXPECT_EQ(m.run(1), ExitReason::kFault) << int{code[0]};
    EXPECT_EQ(m.cpu().exit.fault.vector, kPageFault);
    EXPECT_EQ(m.cpu().snapshot(), before);
  }
}

TEST(Stack, WhatTheVmmMustSeeGoesToIt) {
  for (const Bytes& code :
       {Bytes{0x0e}, Bytes{0x1f}, Bytes{0x07}, Bytes{0x17}, Bytes{0x0f, 0xa1}}) {
    FlatMachine m(CodeKind::kFlat32);
    m.load(code);
    EXPECT_EQ(m.run(1), ExitReason::kInstruction) << int{code[0]};
  }
}

}  // namespace
}  // namespace gnomon::vmm

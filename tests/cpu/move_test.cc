// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/cpu/comparison.h"

namespace gnomon::vmm {
namespace {

class Moves : public testing::Test {
 protected:
  void run(const std::vector<uint8_t>& bytes, bool memory, unsigned times = 500) {
    both_.load(bytes, memory);
    for (unsigned i = 0; i < scaled(times); ++i)
      ASSERT_TRUE(both_.check(random_registers(random_)));
  }
  Comparison both_;
  scenario::Random random_{12};
};

TEST_F(Moves, AreAsOnTheHost) {
  for (const unsigned size : kSizes) {
    for (const uint8_t opcode : {0x88, 0x8a}) {
      run(encode(size, {opcode}, {0xca}), false);
      run(encode(size, {opcode}, {0x0f}), true);
      run(encode(size, {opcode}, {0x4f, 0xe9}), true);           // [rdi - 23]
      run(encode(size, {opcode}, {0x8f, 0x80, 0, 0, 0}), true);  // [rdi + 128]
    }
    std::vector<uint8_t> immediate = {0x91};
    if (size > 1) immediate.resize(size == 2 ? 2 : 4, 0xc2);
    for (const bool memory : {false, true}) {
      std::vector<uint8_t> last = {static_cast<uint8_t>(memory ? 7 : 0xc2)};
      last.insert(last.end(), immediate.begin(), immediate.end());
      run(encode(size, {0xc6}, last), memory);
    }
    if (size == 8) immediate.resize(8, 0x73);
    run(encode(size, {static_cast<uint8_t>(size == 1 ? 0xb6 : 0xbe)}, immediate, false), false);
    if (size > 2) run(encode(size, {0x0f, 0xc3}, {0x0f}, false), true);  // movnti
  }
  run({0x88, 0xe5}, false);        // mov ch, ah
  run({0x40, 0x88, 0xf5}, false);  // mov bpl, sil
}

TEST_F(Moves, ExtensionsAreAsOnTheHost) {
  for (const unsigned size : {2u, 4u, 8u}) {
    for (const uint8_t opcode : {0xb6, 0xb7, 0xbe, 0xbf}) {
      run(encode(size, {0x0f, opcode}, {0xd1}, false), false);
      run(encode(size, {0x0f, opcode}, {0x57, 0x03}, false), true);
    }
    run(encode(size, {0x63}, {0xd1}, false), false);
    run(encode(size, {0x63}, {0x17}, false), true);
    for (const uint8_t opcode : {0x98, 0x99}) run(encode(size, {opcode}, {}, false), false);
    run(encode(size, {0x0f, 0xc9}, {}, false), false);
  }
  run({0x0f, 0xb6, 0xd4}, false);  // movzx edx, ah
}

TEST_F(Moves, AddressesAreAsOnTheHost) {
  for (const unsigned size : {2u, 4u, 8u}) {
    run(encode(size, {0x8d}, {0x4c, 0x9a, 0x80}, false), false);        // [rdx + rbx * 4 - 128]
    run(encode(size, {0x8d}, {0x8a, 1, 2, 3, 0x84}, false), false);     // [rdx + disp32]
    run(encode(size, {0x8d}, {0x0c, 0xd5, 9, 8, 7, 6}, false), false);  // [rdx * 8 + disp32]
    std::vector<uint8_t> narrow = encode(size, {0x8d}, {0x4c, 0x5a, 0x11}, false);
    narrow.insert(narrow.begin(), 0x67);
    run(narrow, false);  // [edx + ebx * 2 + 17]
  }
}

TEST_F(Moves, ConditionsAreAsOnTheHost) {
  for (uint8_t code = 0; code < 16; ++code) {
    for (const unsigned size : {2u, 4u, 8u}) {
      run(encode(size, {0x0f, static_cast<uint8_t>(0x40 | code)}, {0xd1}, false), false);
      run(encode(size, {0x0f, static_cast<uint8_t>(0x40 | code)}, {0x17}, false), true);
    }
    run({0x0f, static_cast<uint8_t>(0x90 | code), 0xc6}, false);  // dh
    run({0x0f, static_cast<uint8_t>(0x90 | code), 0x07}, true);
  }
}

TEST_F(Moves, FlagsAreAsOnTheHost) {
  for (const uint8_t opcode : {0xf5, 0xf8, 0xf9, 0x9e, 0x9f}) run({opcode}, false);
  both_.load({0xfd}, false);
  both_.run({});
  EXPECT_NE(both_.machine().cpu().rflags() & flag::kDF, 0u);
  both_.load({0xfc}, false);
  both_.run({});
  EXPECT_EQ(both_.machine().cpu().rflags() & flag::kDF, 0u);
}

TEST_F(Moves, HintsDoNothing) {
  const std::vector<std::vector<uint8_t>> hints = {{0x90},
                                                   {0xf3, 0x90},
                                                   {0x0f, 0x1f, 0x00},
                                                   {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
                                                   {0xf3, 0x0f, 0x1e, 0xfa},
                                                   {0xf3, 0x0f, 0x1e, 0xfb},
                                                   {0x0f, 0xae, 0xe8},
                                                   {0x0f, 0xae, 0xf0},
                                                   {0x0f, 0xae, 0xf8},
                                                   {0x0f, 0x18, 0x08},
                                                   {0x0f, 0x18, 0x00},
                                                   {0x0f, 0x0d, 0x08},
                                                   {0x0f, 0x0d, 0x00}};
  for (const auto& bytes : hints) run(bytes, false, 50);
  run({0x0f, 0xae, 0x3f}, true, 50);  // clflush [rdi]
  // With a processor that has CET it reads a shadow stack; ours has not.
  both_.load({0xf3, 0x48, 0x0f, 0x1e, 0xc9}, false);
  Registers in;
  in.gpr[kRcx] = 5;
  EXPECT_EQ(both_.run(in).gpr[kRcx], 5u);
}

TEST_F(Moves, TableLookup) {
  both_.load({0xd7}, true);
  Cpu& cpu = both_.machine().cpu();
  for (unsigned al = 0; al < 256; ++al) {
    *both_.machine().ram(FlatMachine::kData + 0x8000 + al) = static_cast<uint8_t>(~al * 3);
    Registers in;
    in.gpr[kRbx] = FlatMachine::kData + 0x8000;
    in.gpr[kRax] = 0xffee00 | al;
    ASSERT_EQ(both_.run(in).gpr[kRax], 0xffee00 | (~al * 3 & 0xff));
  }
  Registers in;
  in.gpr[kRbx] = uint64_t{1} << 47;  // not canonical
  both_.run(in);
  EXPECT_EQ(cpu.exit.fault.vector, kGeneralProtection);
}

TEST_F(Moves, AbsoluteAddresses) {
  Cpu& cpu = both_.machine().cpu();
  *both_.machine().ram(FlatMachine::kData) = 0x5a;
  const auto moffs = [](uint8_t opcode, uint64_t address) {
    std::vector<uint8_t> bytes = {opcode};
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<uint8_t>(address >> 8 * i));
    return bytes;
  };
  Registers in;
  both_.load(moffs(0xa0, FlatMachine::kData), false);
  EXPECT_EQ(both_.run(in).gpr[kRax], 0x5au);
  in.gpr[kRax] = 0x77;
  both_.load(moffs(0xa2, FlatMachine::kData), false);
  both_.run(in);
  EXPECT_EQ(*both_.machine().ram(FlatMachine::kData), 0x77);
  // More than 32 bits of displacement are all used: FS makes up for them.
  cpu.state.segments[kFs].base = 0 - uint64_t{0x1234'5678'0000'0000};
  cpu.mode_changed();
  std::vector<uint8_t> far = moffs(0xa0, 0x1234'5678'0000'0000 + FlatMachine::kData);
  far.insert(far.begin(), 0x64);
  both_.load(far, false);
  EXPECT_EQ(both_.run(in).gpr[kRax], 0x77u);
  both_.load(moffs(0xa1, 0xffff'ffff'8000'0000), false);
  both_.run(in);
  EXPECT_EQ(cpu.exit.fault.vector, kPageFault);
  EXPECT_EQ(cpu.exit.fault.cr2, 0xffff'ffff'8000'0000);
  both_.load(moffs(0xa1, 0x0000'7fff'8000'0000), false);
  both_.run(in);
  EXPECT_EQ(cpu.exit.fault.cr2, 0x0000'7fff'8000'0000u);
}

TEST_F(Moves, Selectors) {
  Cpu& cpu = both_.machine().cpu();
  cpu.state.segments[kGs].selector = 0x9876;
  Registers in;
  in.gpr[kRcx] = in.gpr[kR8] = ~uint64_t{0};
  both_.load({0x66, 0x8c, 0xe9}, false);  // mov cx, gs
  EXPECT_EQ(both_.run(in).gpr[kRcx], 0xffff'ffff'ffff'9876);
  both_.load({0x8c, 0xe9}, false);
  EXPECT_EQ(both_.run(in).gpr[kRcx], 0x9876u);
  both_.load({0x48, 0x8c, 0xe9}, false);
  EXPECT_EQ(both_.run(in).gpr[kRcx], 0x9876u);
  for (const std::vector<uint8_t>& bytes : {std::vector<uint8_t>{0x8c, 0x2f}, {0x48, 0x8c, 0x2f}}) {
    both_.load(bytes, true);  // always 16 bits
    both_.run(in);
    uint64_t value = 0;
    std::memcpy(&value, both_.machine().ram(kMemory + kMemoryBytes / 2), 8);
    EXPECT_EQ(value, 0xffff'ffff'ffff'9876);
  }
}

TEST_F(Moves, SensitiveOnesGoToTheVmm) {
  const std::vector<std::vector<uint8_t>> sensitive = {
      {0x8c, 0xc9},       {0x8c, 0x0f},         // mov ecx, cs; mov [rdi], cs
      {0x8e, 0xd9},       {0x8e, 0x1f},         // mov ds, ecx; mov ds, [rdi]
      {0x0f, 0x20, 0xd8}, {0x0f, 0x22, 0xd8},   // CR3
      {0x0f, 0x21, 0xf8}, {0x0f, 0x23, 0xf8}};  // DR7
  for (const auto& bytes : sensitive) {
    both_.load(bytes, false);
    both_.run({});
    EXPECT_EQ(both_.machine().cpu().exit.reason, ExitReason::kInstruction);
    EXPECT_EQ(both_.machine().cpu().rip, FlatMachine::kCode);
  }
}

TEST_F(Moves, FaultsChangeNothing) {
  for (const unsigned size : kSizes) {
    both_.expect_fault(encode(size, {0x88}, {0x0f}), true);
    both_.expect_fault(encode(size, {0x8a}, {0x0f}), false);
    if (size == 1) continue;
    both_.expect_fault(encode(size, {0x0f, 0xbf}, {0x17}, false), false);
    for (const uint8_t opcode : {0x44, 0x45})
      both_.expect_fault(encode(size, {0x0f, opcode}, {0x17}, false), false);
  }
  both_.expect_fault(std::vector<uint8_t>{0x0f, 0x94, 0x07}, true);
  both_.expect_fault(std::vector<uint8_t>{0x0f, 0xae, 0x3f}, false);
}

// Limits are those of the segment; 16-bit addresses wrap.
TEST(Moves16, SegmentsOfRealMode) {
  FlatMachine m(CodeKind::kReal16);
  Cpu& cpu = m.cpu();
  cpu.state.segments[kDs].base = 0x20000;
  cpu.mode_changed();
  *m.ram(0x20000 + 0x0005) = 0x42;
  m.load(std::vector<uint8_t>{0x8a, 0x47, 0x06});  // mov al, [bx + 6]
  cpu.gpr[kRbx] = 0xabcd'ffff;
  cpu.gpr[kRax] = 0;
  ASSERT_EQ(m.run(1), ExitReason::kBudget);
  EXPECT_EQ(cpu.gpr[kRax], 0x42u);
  m.load(std::vector<uint8_t>{0x8b, 0x07});  // mov ax, [bx]: its second byte is past the limit
  ASSERT_EQ(m.run(1), ExitReason::kFault);
  EXPECT_EQ(cpu.exit.fault.vector, kGeneralProtection);
  m.load(std::vector<uint8_t>{0xa1, 0x05, 0x00});  // mov ax, [5]
  ASSERT_EQ(m.run(1), ExitReason::kBudget);
  EXPECT_EQ(cpu.gpr[kRax], 0x42u);
  cpu.gpr[kRcx] = 0x80000;  // bt [bx], cx takes 16 bits of CX; ecx moves the address
  m.load(std::vector<uint8_t>{0x66, 0x0f, 0xa3, 0x0f});
  cpu.gpr[kRbx] = 0xfff0;
  ASSERT_EQ(m.run(1), ExitReason::kBudget);
  cpu.gpr[kRcx] = 13 * 8;  // dword at 0xfffc
  cpu.rip = 0;
  ASSERT_EQ(m.run(1), ExitReason::kBudget);
  cpu.gpr[kRbx] = 0xfff1;
  cpu.rip = 0;
  ASSERT_EQ(m.run(1), ExitReason::kFault);
  EXPECT_EQ(cpu.exit.fault.vector, kGeneralProtection);
}

}  // namespace
}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "tests/cpu/flat_machine.h"

// Decoded code is never older than the code, however blocks are linked; and a budget ends where it says.

namespace gnomon::vmm {
namespace {

using Bytes = std::vector<uint8_t>;

// Sums 1 to 200 by way of calls, a jump, a loop and a repeated store; then an undefined instruction.
const Bytes kProgram = {
    0x31, 0xc0,                    // xor eax, eax
    0xb9, 0xc8, 0x00, 0x00, 0x00,  // mov ecx, 200
    0xe8, 0x11, 0x00, 0x00, 0x00,  // again: call add_one
    0xe2, 0xf9,                    // loop again
    0xb9, 0x40, 0x00, 0x00, 0x00,  // mov ecx, 64
    0xbf, 0x00, 0x00, 0x20, 0x00,  // mov edi, 0x200000
    0xf3, 0xaa,                    // rep stosb
    0xeb, 0x06,                    // jmp end
    0x90,
    0x01, 0xc8,                    // add_one (29): add eax, ecx
    0x74, 0x00,                    // jz next
    0xc3,                          // ret
    0x0f, 0x0b,                    // end (34)
};

TEST(CodeCache, AnyBudgetEndsExactlyAndLeadsToTheSameEnd) {
  for (const CodeKind kind : {CodeKind::kFlat32, CodeKind::kLong64}) {
    FlatMachine whole(kind);
    whole.load(kProgram);
    ASSERT_EQ(whole.run(1u << 20), ExitReason::kFault);
    ASSERT_EQ(whole.cpu().gpr[kRax], 20100u);
    ASSERT_EQ(whole.cpu().rip, FlatMachine::kCode + 34);
    ASSERT_EQ(whole.cpu().instructions, 2u + 200 * 5 + 2 + 64 + 1);
    for (uint64_t piece = 1; piece < 300; piece += piece < 20 ? 1 : 17) {
      FlatMachine m(kind);
      m.load(kProgram);
      uint64_t expected = 0;
      while (m.run(piece) == ExitReason::kBudget) {
        expected += piece;
        ASSERT_EQ(m.cpu().instructions, expected);
      }
      EXPECT_EQ(m.cpu().instructions, whole.cpu().instructions) << piece;
      EXPECT_EQ(m.cpu().snapshot(), whole.cpu().snapshot()) << piece;
    }
  }
}

TEST(CodeCache, CodeThatOverwritesItselfAheadRunsWhatItWrote) {
  FlatMachine m(CodeKind::kLong64);
  // mov byte [rbx], 0x05 (the immediate of the next); add eax, 1; ud2
  m.load(Bytes{0xc6, 0x03, 0x05, 0x83, 0xc0, 0x01, 0x0f, 0x0b});
  m.cpu().gpr[kRbx] = FlatMachine::kCode + 5;
  EXPECT_EQ(m.run(10), ExitReason::kFault);
  EXPECT_EQ(m.cpu().gpr[kRax], 5u);
  EXPECT_EQ(m.cpu().instructions, 2u);
}

TEST(CodeCache, ALinkedTargetThatChangesIsNoticed) {
  FlatMachine m(CodeKind::kLong64);
  // again: add eax, 1; dec ecx... as `loop`: the body's immediate grows while it runs.
  m.load(Bytes{0xfe, 0x03,              // again: inc byte [rbx]
               0xeb, 0x00,              // jmp next
               0x83, 0xc0, 0x00,        // next: add eax, imm
               0xe2, 0xf7, 0x0f, 0x0b});  // loop again; ud2
  m.cpu().gpr[kRbx] = FlatMachine::kCode + 6;
  m.cpu().gpr[kRcx] = 20;
  EXPECT_EQ(m.run(1000), ExitReason::kFault);
  EXPECT_EQ(m.cpu().gpr[kRax], 210u);
  EXPECT_EQ(m.cpu().instructions, 80u);
}

TEST(CodeCache, AnInstructionAcrossPagesFollowsItsSecondPage) {
  FlatMachine m(CodeKind::kLong64);
  const uint64_t at = FlatMachine::kCode + 0xffe;
  const uint8_t code[] = {0x83, 0xc0, 0x01, 0x0f, 0x0b};  // add eax, 1: its immediate in the next page
  std::memcpy(m.ram(at), code, sizeof code);
  for (const uint8_t value : {1, 7}) {
    *m.ram(at + 2) = value;
    m.cpu().rip = at;
    m.cpu().gpr[kRax] = 0;
    EXPECT_EQ(m.run(10), ExitReason::kFault);
    EXPECT_EQ(m.cpu().gpr[kRax], value);
  }
}

TEST(CodeCache, AttentionIsAnsweredAtTheStartOfARun) {
  FlatMachine m(CodeKind::kLong64);
  m.load(Bytes{0xeb, 0xfe});
  m.cpu().attention = true;
  EXPECT_EQ(m.run(100), ExitReason::kAttention);
  EXPECT_EQ(m.cpu().instructions, 0u);
  m.cpu().attention = false;
  EXPECT_EQ(m.run(100'000), ExitReason::kBudget);
  EXPECT_EQ(m.cpu().instructions, 100'000u);
}

TEST(CodeCache, SupervisorsCodeIsNotFoundForTheUser) {
  FlatMachine m(CodeKind::kLong64);
  m.load(Bytes{0xeb, 0xfe});
  EXPECT_EQ(m.run(10), ExitReason::kBudget);
  // The page becomes the supervisor's; no user may go on in it.
  uint64_t entry = 0x87 & ~uint64_t{4};
  std::memcpy(m.ram(FlatMachine::kRamBytes - (1u << 20) + 0x2000), &entry, 8);
  m.cpu().memory.flush();
  EXPECT_EQ(m.run(10), ExitReason::kBudget);
  m.cpu().set_cpl(3);
  EXPECT_EQ(m.run(10), ExitReason::kFault);
  EXPECT_EQ(m.cpu().exit.fault.vector, kPageFault);
}

}  // namespace
}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "tests/native_cpu/flat_machine.h"

// Decoded code is never older than the code, however blocks are linked; and a budget ends where it
// says.

namespace gnomon::vmm {
namespace {

using Bytes = std::vector<uint8_t>;

// Sums 1 to 200 by way of calls, a jump, a loop and a repeated store; then an undefined
// instruction.
const Bytes kProgram = {
    0x31, 0xc0,                    // xor eax, eax
    0xb9, 0xc8, 0x00, 0x00, 0x00,  // mov ecx, 200
    0xe8, 0x11, 0x00, 0x00, 0x00,  // again: call add_one
    0xe2, 0xf9,                    // loop again
    0xb9, 0x40, 0x00, 0x00, 0x00,  // mov ecx, 64
    0xbf, 0x00, 0x00, 0x20, 0x00,  // mov edi, 0x200000
    0xf3, 0xaa,                    // rep stosb
    0xeb, 0x06,                    // jmp end
    0x90, 0x01, 0xc8,              // add_one (29): add eax, ecx
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
  m.load(Bytes{0xfe, 0x03,                // again: inc byte [rbx]
               0xeb, 0x00,                // jmp next
               0x83, 0xc0, 0x00,          // next: add eax, imm
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
  const uint8_t code[] = {0x83, 0xc0, 0x01, 0x0f,
                          0x0b};  // add eax, 1: its immediate in the next page
  std::memcpy(m.ram(at), code, sizeof code);
  for (const uint8_t value : {1, 7}) {
    m.code().code_written(m.ram(at + 2), 1);
    *m.ram(at + 2) = value;
    m.cpu().rip = at;
    m.cpu().gpr[kRax] = 0;
    EXPECT_EQ(m.run(10), ExitReason::kFault);
    EXPECT_EQ(m.cpu().gpr[kRax], value);
  }
}

// The page after it is the same frame again: its own start holds its last bytes.
TEST(CodeCache, AnInstructionFromAFrameIntoTheSameFrameFollowsBothParts) {
  FlatMachine m(CodeKind::kLong64);
  constexpr uint64_t kLinear = FlatMachine::kRamBytes, kTable = 0x300000, kFrame = 0x400000;
  const auto entry = [&](uint64_t at, uint64_t value) { std::memcpy(m.ram(at), &value, 8); };
  entry(FlatMachine::kRamBytes - (1u << 20) + 0x2000 + 8 * (kLinear >> 21), kTable | 7);
  for (const uint64_t page : {0, 1}) entry(kTable + 8 * page, kFrame | 7);
  const uint8_t code[] = {0xb8, 0x11};  // mov eax, 11: three bytes of it at the frame's start
  std::memcpy(m.ram(kFrame + 0xffe), code, sizeof code);
  const uint8_t rest[] = {0, 0, 0, 0x0f, 0x0b};
  std::memcpy(m.ram(kFrame), rest, sizeof rest);
  for (const uint64_t value : {0x11, 0x2211, 0x3311}) {
    ASSERT_TRUE(m.cpu().memory.store<uint8_t>(kFrame, static_cast<uint8_t>(value >> 8)));
    m.cpu().rip = kLinear + 0xffe;
    EXPECT_EQ(m.run(10), ExitReason::kFault);
    EXPECT_EQ(m.cpu().gpr[kRax], value);
  }
}

// rep stosb, of which F3 is the last byte of a page: it overwrites its second byte, and becomes
// `pause`.
TEST(CodeCache, ARepeatedInstructionAcrossPagesThatOverwritesItselfEnds) {
  const uint64_t at = FlatMachine::kCode + 0xfff;
  std::vector<CpuState> ends;
  for (const uint64_t piece : {1u, 2u, 100u}) {
    FlatMachine m(CodeKind::kLong64);
    const uint8_t code[] = {0xf3, 0xaa, 0x0f, 0x0b, 0x0f, 0x0b};
    std::memcpy(m.ram(at), code, sizeof code);
    m.cpu().rip = at;
    m.cpu().gpr[kRdi] = at + 1;
    m.cpu().gpr[kRcx] = 3;
    m.cpu().gpr[kRax] = 0x90;
    while (m.run(piece) == ExitReason::kBudget) {
    }
    EXPECT_EQ(m.cpu().gpr[kRcx], 2u) << piece;
    EXPECT_EQ(m.cpu().rip, at + 2) << piece;
    EXPECT_EQ(m.cpu().instructions, 2u) << piece;
    ends.push_back(m.cpu().snapshot());
  }
  EXPECT_EQ(ends[0], ends[1]);
  EXPECT_EQ(ends[0], ends[2]);
}

// Whichever byte it was that made it undefined.
TEST(CodeCache, AnUndefinedInstructionThatIsMendedRuns) {
  FlatMachine m(CodeKind::kLong64);
  m.load(Bytes{0x48, 0x0f, 0x04});
  EXPECT_EQ(m.run(1), ExitReason::kFault);
  EXPECT_EQ(unsigned{m.cpu().exit.fault.vector}, unsigned{kInvalidOpcode});
  ASSERT_TRUE(m.cpu().memory.store<uint8_t>(FlatMachine::kCode + 2, 0xc8));  // bswap rax
  m.cpu().gpr[kRax] = 1;
  EXPECT_EQ(m.run(1), ExitReason::kBudget);
  EXPECT_EQ(m.cpu().gpr[kRax], uint64_t{1} << 56);
}

TEST(CodeCache, ChangesByWayOfAnotherMappingAreSeen) {
  FlatMachine m(CodeKind::kLong64);
  // The first 2 MiB again, after all RAM.
  constexpr uint64_t kAgain = FlatMachine::kRamBytes;
  const uint64_t entry = 0x87;
  std::memcpy(m.ram(FlatMachine::kRamBytes - (1u << 20) + 0x2000 + 8 * (kAgain >> 21)), &entry, 8);
  // again: inc byte [rbx]; add eax, imm; loop again; ud2
  m.load(Bytes{0xfe, 0x03, 0x83, 0xc0, 0x00, 0xe2, 0xf9, 0x0f, 0x0b});
  m.cpu().gpr[kRbx] = kAgain + FlatMachine::kCode + 4;
  m.cpu().gpr[kRcx] = 20;
  EXPECT_EQ(m.run(1000), ExitReason::kFault);
  EXPECT_EQ(m.cpu().gpr[kRax], 210u);
  // And run at the second address.
  m.cpu().rip = kAgain + FlatMachine::kCode;
  m.cpu().gpr[kRax] = 0;
  m.cpu().gpr[kRcx] = 1;
  EXPECT_EQ(m.run(1000), ExitReason::kFault);
  EXPECT_EQ(m.cpu().gpr[kRax], 21u);
}

// What a device gives for INS the VMM stores by way of MemoryPath, between runs of the processor:
// in the middle of REP INS the instruction itself may change, or what follows it.
TEST(CodeCache, DataOfADeviceThatBecomesCodeRuns) {
  for (const uint64_t where : {1u, 2u, 3u, 4u}) {
    FlatMachine m(CodeKind::kFlat32);
    Cpu& cpu = m.cpu();
    m.load(Bytes{0x49, 0xf3, 0x6c, 0x41, 0x41, 0x0f,
                 0x0b});  // dec ecx; rep insb; inc ecx; inc ecx; ud2
    cpu.gpr[kRcx] = 5;
    ASSERT_EQ(m.run(10), ExitReason::kInstruction);
    ASSERT_EQ(cpu.rip, FlatMachine::kCode + 1);
    for (const uint8_t byte : {0x40, 0x43, 0x40}) {  // inc eax; inc ebx
      cpu.gpr[kRax] = cpu.gpr[kRbx] = 0;
      ASSERT_TRUE(
          cpu.memory.store_bytes(FlatMachine::kCode + where, &byte, 1, Privilege::kSupervisor));
      cpu.rip = FlatMachine::kCode + where;
      EXPECT_EQ(m.run(1), ExitReason::kBudget);
      EXPECT_EQ(cpu.gpr[kRax], byte == 0x40 ? 1u : 0u) << where;
      EXPECT_EQ(cpu.gpr[kRbx], byte == 0x43 ? 1u : 0u) << where;
    }
  }
}

TEST(CodeCache, BeginsAnewWhenItIsFull) {
  FlatMachine m(CodeKind::kLong64);
  // More ops than fit, in one run: inc eax, over and over.
  constexpr uint64_t kTurns = CodeCache::kMaxOps * 5 / 4;
  for (uint64_t i = 0; i < kTurns; ++i)
    std::memcpy(m.ram(FlatMachine::kCode + 2 * i), "\xff\xc0", 2);
  const uint64_t generation = m.code().generation();
  m.cpu().rip = FlatMachine::kCode;
  EXPECT_EQ(m.run(kTurns), ExitReason::kBudget);
  EXPECT_EQ(m.cpu().gpr[kRax], kTurns);
  EXPECT_EQ(m.cpu().rip, FlatMachine::kCode + 2 * kTurns);
  EXPECT_GT(m.code().generation(), generation);
  // What was linked, and what was in the table of jumps, is decoded again.
  m.load(kProgram);
  m.cpu().gpr = FlatMachine(CodeKind::kLong64).cpu().gpr;
  EXPECT_EQ(m.run(1u << 20), ExitReason::kFault);
  EXPECT_EQ(m.cpu().gpr[kRax], 20100u);
}

// A link to a block that is decoded again and again, and from one that is.
TEST(CodeCache, LinksFollowTheirTargets) {
  FlatMachine m(CodeKind::kLong64);
  m.load(Bytes{0x01, 0xf2,              // again: add edx, esi
               0x74, 0x00,              // jz next
               0x83, 0xc0, 0x01,        // next: add eax, 1
               0xff, 0xc9, 0x75, 0xf5,  // dec ecx; jnz again
               0x0f, 0x0b});
  for (unsigned turn = 1; turn < 200; ++turn) {
    const auto value = static_cast<uint8_t>(turn % 100);
    ASSERT_TRUE(m.cpu().memory.store<uint8_t>(FlatMachine::kCode + 6, value));
    // Every third time the block that the link is in, too.
    if (turn % 3 == 0) ASSERT_TRUE(m.cpu().memory.store<uint8_t>(FlatMachine::kCode + 1, 0xf2));
    m.cpu().rip = FlatMachine::kCode;
    m.cpu().gpr[kRax] = 0;
    m.cpu().gpr[kRsi] = m.cpu().gpr[kRdx] = 1;
    m.cpu().gpr[kRcx] = 5;
    ASSERT_EQ(m.run(1000), ExitReason::kFault);
    ASSERT_EQ(m.cpu().gpr[kRax], 5u * value);
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

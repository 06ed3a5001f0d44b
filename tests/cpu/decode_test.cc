// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/native_cpu/flat_machine.h"

namespace gnomon::vmm {
namespace {

// What Zydis 4.0 takes for something else than processors do.

TEST(Decode, ScaledIndexWithoutBaseAnd32BitAddress) {
  FlatMachine m(CodeKind::kLong64);
  // lea eax, [ebx*8 + 0x20] with REX.B, which changes nothing: there is no base; ud2
  m.load(std::vector<uint8_t>{0x67, 0x41, 0x8d, 0x04, 0xdd, 0x20, 0, 0, 0, 0x0f, 0x0b});
  m.cpu().gpr[kRbx] = 0x100;
  m.cpu().gpr[kR13] = 0x10000;
  m.run(100);
  EXPECT_EQ(m.cpu().gpr[kRax], 0x820u);
}

TEST(Decode, RepeatedExchangeWithR8IsNoPause) {
  FlatMachine m(CodeKind::kLong64);
  // xchg r8, rax; ud2
  m.load(std::vector<uint8_t>{0xf3, 0x49, 0x90, 0x0f, 0x0b});
  m.cpu().gpr[kRax] = 1;
  m.cpu().gpr[kR8] = 2;
  m.run(100);
  EXPECT_EQ(m.cpu().gpr[kRax], 2u);
  EXPECT_EQ(m.cpu().gpr[kR8], 1u);
}

Fault fault_of(CodeKind kind, const std::vector<uint8_t>& code) {
  FlatMachine m(kind);
  m.load(code);
  EXPECT_EQ(m.run(1), ExitReason::kFault);
  return m.cpu().exit.fault;
}

TEST(Decode, MoreThan15BytesRaiseGeneralProtection) {
  for (const CodeKind kind : {CodeKind::kReal16, CodeKind::kFlat32, CodeKind::kLong64}) {
    std::vector<uint8_t> code(14, 0x66);
    code.push_back(0x90);
    FlatMachine m(kind);
    m.load(code);
    EXPECT_EQ(m.run(1), ExitReason::kBudget);
    code.insert(code.begin(), 0x66);
    const Fault f = fault_of(kind, code);
    EXPECT_EQ(unsigned{f.vector}, unsigned{kGeneralProtection});
    EXPECT_EQ(f.error, 0u);
  }
}

TEST(Decode, WhatCpuidDoesNotOfferIsUndefined) {
  const std::vector<uint8_t> codes[] = {
      {0x0f, 0x38, 0xf0, 0x07},  // MOVBE
      {0xf2, 0x0f, 0xf0, 0x07},  // LDDQU
      {0xdb, 0x0f},
      {0xdd, 0x0f},
      {0xdf, 0x0f},                    // FISTTP
      {0xf3, 0x0f, 0x12, 0xc1},        // MOVSLDUP
      {0x66, 0x0f, 0x38, 0x00, 0xc1},  // PSHUFB
      {0xf2, 0x0f, 0x38, 0xf0, 0xc1},  // CRC32
      {0x0f, 0xc7, 0xf0},              // RDRAND
      {0x0f, 0xae, 0x27},              // XSAVE
      {0xc5, 0xf8, 0x58, 0xc1},        // VADDPS
      {0x0f, 0x38, 0xc9, 0xc1},        // SHA1MSG1
      {0xf2, 0x0f, 0x79, 0xc1},        // INSERTQ
  };
  for (const auto& code : codes) {
    EXPECT_EQ(unsigned{fault_of(CodeKind::kLong64, code).vector}, unsigned{kInvalidOpcode})
        << unsigned{code[1]};
  }
}

TEST(Decode, LockIsForStoresToMemoryAlone) {
  const std::vector<uint8_t> codes[] = {
      {0xf0, 0x01, 0xc8},        // lock add eax, ecx
      {0xf0, 0x03, 0x07},        // lock add eax, [rdi]
      {0xf0, 0x39, 0x07},        // lock cmp [rdi], eax
      {0xf0, 0x89, 0x07},        // lock mov [rdi], eax
      {0xf0, 0x0f, 0xa3, 0x07},  // lock bt [rdi], eax
      {0xf0, 0xd1, 0x27},        // lock shl dword [rdi], 1
      {0xf0, 0x90},              // lock nop
      {0xf0, 0x0f, 0x20, 0xc0},  // lock mov rax, cr0
      {0xf0, 0xa4},              // lock movsb
      {0xf0, 0xfa},              // lock cli
  };
  for (const auto& code : codes) {
    EXPECT_EQ(unsigned{fault_of(CodeKind::kLong64, code).vector}, unsigned{kInvalidOpcode})
        << unsigned{code[1]};
  }
}

// However many of its bytes are in the next page.
TEST(Decode, ItsLengthComesBeforeALockThatItMustNotHave) {
  std::vector<uint8_t> code(11, 0xf0);
  code.insert(code.end(), {0xb8, 1, 2, 3, 4});  // mov eax, imm32: 16 bytes
  for (unsigned here = 1; here <= 16; ++here) {
    for (const bool too_long : {true, false}) {
      FlatMachine m(CodeKind::kLong64);
      const uint64_t at = FlatMachine::kCode + 0x1000 - here + (too_long ? 0 : 1);
      const size_t skipped = too_long ? 0 : 1;
      std::memcpy(m.ram(at), code.data() + skipped, code.size() - skipped);
      m.cpu().rip = at;
      EXPECT_EQ(m.run(1), ExitReason::kFault);
      EXPECT_EQ(unsigned{m.cpu().exit.fault.vector},
                unsigned{too_long ? kGeneralProtection : kInvalidOpcode})
          << here;
    }
  }
}

// The end of RAM is the end of the segment: what goes on beyond is refused before it is fetched.
TEST(Decode, TheSegmentsLimitComesBeforeTheSecondPage) {
  FlatMachine m(CodeKind::kFlat32);
  m.cpu().state.segments[kCs].limit = FlatMachine::kRamBytes - 1;
  m.cpu().mode_changed();
  *m.ram(FlatMachine::kRamBytes - 1) = 0x83;
  m.cpu().rip = FlatMachine::kRamBytes - 1;
  EXPECT_EQ(m.run(1), ExitReason::kFault);
  EXPECT_EQ(unsigned{m.cpu().exit.fault.vector}, unsigned{kGeneralProtection});
}

}  // namespace
}  // namespace gnomon::vmm

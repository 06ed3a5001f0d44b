// SPDX-License-Identifier: Apache-2.0
//
// Guests that get nowhere: whatever they do, time goes on, and a run ends when it is to end.
#include <gtest/gtest.h>

#include "gnomon/vmm/machine.h"
#include "tests/support/temporary_directory.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kInstructions = 200'000;

/// A boot sector with this code, which starts in real mode at 0:7C00.
std::string sector(const std::vector<uint8_t>& code) {
  std::string bytes(code.begin(), code.end());
  bytes.resize(510);
  return bytes + "\x55\xaa";
}

struct Outcome {
  RunEnd end;
  uint64_t ns = 0;
  uint64_t instructions = 0;
  std::string registers;
  std::vector<ExitCount> exit_counts;

  uint64_t exits(absl::string_view name) const {
    for (const ExitCount& e : exit_counts) {
      if (e.name == name) return e.count;
    }
    return 0;
  }
};
Outcome run(const std::vector<uint8_t>& code, const std::string& board = "pc") {
  const test_support::TemporaryFile file(sector(code));
  MachineOptions o;
  o.load.image = file.path();
  o.load.format = "boot";
  o.board.board = board;
  o.board.memory_bytes = 2u << 20;
  const auto machine = Machine::create(o);
  EXPECT_TRUE(machine.ok()) << machine.status();
  if (!machine.ok()) return {};
  Outcome out;
  out.end = (*machine)->run(kInstructions);
  out.ns = (*machine)->clock().now();
  out.instructions = (*machine)->instructions();
  out.registers = (*machine)->registers_text(0);
  out.exit_counts = (*machine)->exit_counts();
  return out;
}

const uint64_t kTime = kInstructions * MachineOptions{}.ns_per_instruction;

TEST(Stuck, ALoopThatNeverEnds) {
  const Outcome o = run({0xeb, 0xfe});  // jmp $
  EXPECT_EQ(o.end.reason, RunEnd::Reason::kLimit) << o.end.text;
  EXPECT_EQ(o.instructions, kInstructions);
  EXPECT_EQ(o.ns, kTime);
}

TEST(Stuck, AHandlerThatFaultsAtItsFirstInstruction) {
  // mov $0x1000, %ax; mov %ax, %ss; movw $handler, 4 * 6; movw $0, 4 * 6 + 2; handler: ud2
  const Outcome o =
      run({0xb8, 0x00, 0x10, 0x8e, 0xd0, 0xc7, 0x06, 0x18, 0x00, 0x11, 0x7c, 0xc7, 0x06, 0x1a,
           0x00, 0x00, 0x00, 0x0f, 0x0b});
  EXPECT_EQ(o.end.reason, RunEnd::Reason::kLimit) << o.end.text;
  EXPECT_EQ(o.ns, kTime);
  EXPECT_NE(o.registers.find("rip 0000000000007c11"), std::string::npos) << o.registers;
  EXPECT_GT(o.exits("fault"), kInstructions - 1000);
}

TEST(Stuck, AHandlerThatInterruptsItself) {
  // int3 whose handler is the int3: nothing but events, each of them an instruction.
  const Outcome o =
      run({0xb8, 0x00, 0x10, 0x8e, 0xd0, 0xc7, 0x06, 0x0c, 0x00, 0x11, 0x7c, 0xc7, 0x06, 0x0e,
           0x00, 0x00, 0x00, 0xcc});
  EXPECT_EQ(o.end.reason, RunEnd::Reason::kLimit) << o.end.text;
  EXPECT_EQ(o.ns, kTime);
  EXPECT_NE(o.registers.find("rip 0000000000007c11"), std::string::npos) << o.registers;
  EXPECT_GT(o.exits("software_interrupt"), kInstructions - 1000);
}

TEST(Stuck, AProcessorThatStopsItself) {
  // In big real mode: INIT to processor 0, through its own local APIC.
  const Outcome o = run({
      0xfa, 0x0f, 0x01, 0x16, 0x3a, 0x7c,                 // cli; lgdt table
      0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,     // CR0.PE = 1
      0xbb, 0x08, 0x00, 0x8e, 0xdb,                       // mov $8, %bx; mov %bx, %ds
      0x66, 0xbe, 0x10, 0x03, 0xe0, 0xfe,                 // mov $0xfee00310, %esi
      0x67, 0x66, 0xc7, 0x06, 0,    0,    0,    0,        // movl $0, (%esi)
      0x67, 0x66, 0xc7, 0x46, 0xf0, 0x00, 0x45, 0,    0,  // movl $0x4500, -16(%esi)
      0x40, 0xeb, 0xfd,                                   // 1: inc %ax; jmp 1b
      0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
      0x90, 0x90, 0x90, 0x0f, 0,    0x40, 0x7c, 0,    0,  // 7c3a: 16 bytes at 7c40
      0,    0,    0,    0,    0,    0,    0,    0,    0xff, 0xff,
      0,    0,    0,    0x93, 0xcf, 0,
  });
  EXPECT_EQ(o.end.reason, RunEnd::Reason::kHalted) << o.end.text;
  EXPECT_EQ(o.registers.find("rax 0000000000000000"), 0u) << o.registers;
  EXPECT_NE(o.registers.find("waits for start-up"), std::string::npos) << o.registers;
  EXPECT_LT(o.instructions, 20u);
}

TEST(Stuck, IdleWithInterruptsOff) {
  // On a board whose timer runs, time goes on for ever.
  // mov $0x34, %al; out %al, $0x43; out %al, $0x40; out %al, $0x40; cli; 1: hlt; jmp 1b
  const std::vector<uint8_t> code = {0xb0, 0x34, 0xe6, 0x43, 0xe6, 0x40,
                                     0xe6, 0x40, 0xfa, 0xf4, 0xeb, 0xfd};
  const Outcome o = run(code);
  EXPECT_EQ(o.end.reason, RunEnd::Reason::kLimit) << o.end.text;
  EXPECT_EQ(o.ns, kTime);
  EXPECT_LT(o.instructions, 20u);
  // Where nothing will ever wake it, the machine says so.
  const Outcome still = run({0xfa, 0xf4, 0xeb, 0xfd}, "minimal");
  EXPECT_EQ(still.end.reason, RunEnd::Reason::kHalted) << still.end.text;
  EXPECT_EQ(still.instructions, 2u);
}

}  // namespace
}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <string>

#include "gtest/gtest.h"
#include "tests/trap/machine.h"
#include "vmm/trap/cpuid.h"
#include "vmm/trap/hypercalls.h"

// Each call's good and bad cases, on a processor whose memory nothing validates.

namespace gnomon::vmm {
namespace {

using namespace trap::hypercall_error;
using trap::Hypercall;

constexpr uint64_t kData = TrapMachine::kData;
constexpr uint64_t kHole = 8u << 20;  // not mapped, and no memory

class CallMachine final : public TrapMachine, public MachineControl {
 public:
  using TrapMachine::TrapMachine;

  bool hypercall(Cpu& c) override {
    trap::do_hypercall(c, *this, [this](absl::string_view text) { console += std::string(text); });
    return true;
  }
  void send_init(unsigned) override {}
  void send_startup(unsigned, uint8_t) override {}
  void send_nmi(unsigned) override {}
  void request_reset() override {}
  void request_exit(int status) override { exit_status = status; }

  /// VMCALL; what RAX says then.
  int64_t call(uint64_t number, uint64_t first = 0, uint64_t second = 0) {
    cpu().gpr[kRax] = number;
    cpu().gpr[kRdi] = first;
    cpu().gpr[kRsi] = second;
    cpu().gpr[kRdx] = 0x1234;
    EXPECT_EQ(emulate_bytes({0x0f, 0x01, 0xc1}), "done");
    const auto answer = static_cast<int64_t>(cpu().gpr[kRax]);
    return cpu().code64() ? answer : static_cast<int32_t>(answer);
  }
  int64_t call(Hypercall number, uint64_t first = 0, uint64_t second = 0) {
    return call(static_cast<uint64_t>(number), first, second);
  }
  uint64_t rdx() { return cpu().gpr[kRdx]; }
  void set_update(unsigned n, uint64_t at, uint64_t value) {
    set_word(kData + 16 * n, at);
    set_word(kData + 16 * n + 8, value);
  }

  std::string console;
  int exit_status = -1;
};

TEST(Hypercall, TableAndNames) {
  EXPECT_EQ(trap::hypercall_name(0), "features");
  EXPECT_EQ(trap::hypercall_name(1), "mmu_update");
  EXPECT_EQ(trap::hypercall_name(5), "exit");
  EXPECT_EQ(trap::hypercall_name(6), "unknown");
  EXPECT_EQ(trap::hypercall_name(~uint64_t{0}), "unknown");
}

TEST(Hypercall, OnlyFromLevel0) {
  for (const Mode mode : {Mode::k32, Mode::k64}) {
    for (unsigned level = 1; level < 4; ++level) {
      CallMachine m(mode);
      m.enter(level);
      m.cpu().gpr[kRax] = 5;
      EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xc1}), "#GP(0)") << name_of(mode) << " " << level;
      EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xd9}), "#GP(0)") << name_of(mode) << " " << level;
      EXPECT_EQ(m.exit_status, -1);
    }
  }
}

TEST(Hypercall, BothInstructionsInEveryMode) {
  for (const Mode mode : {Mode::kReal, Mode::k32, Mode::k64}) {
    CallMachine m(mode);
    const uint64_t rip = m.cpu().rip;
    EXPECT_EQ(m.call(Hypercall::kFeatures), 0) << name_of(mode);
    EXPECT_EQ(m.rdx(), 0x10001u) << "version 1, nothing validated";
    EXPECT_EQ(m.cpu().rip, rip + 3);
    m.cpu().gpr[kRax] = 5;
    m.cpu().gpr[kRdi] = 7;
    EXPECT_EQ(m.emulate_bytes({0x0f, 0x01, 0xd9}), "done");
    EXPECT_EQ(m.exit_status, 7);
  }
}

TEST(Hypercall, Code32SeesHalvesOfRegisters) {
  CallMachine m(Mode::k32);
  const uint64_t junk = uint64_t{0xabcd} << 32;
  std::memcpy(m.ram(kData), "text", 4);
  EXPECT_EQ(m.call(junk | 4, junk | kData, junk | 4), 0);
  EXPECT_EQ(m.console, "text");
  EXPECT_EQ(m.call(77), kNoSuchCall);
  EXPECT_EQ(m.cpu().gpr[kRax], 0xffffffdau);
}

TEST(Hypercall, UnknownNumbers) {
  CallMachine m(Mode::k64);
  for (const uint64_t number : {uint64_t{6}, uint64_t{77}, uint64_t{1} << 32, ~uint64_t{0}}) {
    EXPECT_EQ(m.call(number), kNoSuchCall) << number;
    EXPECT_EQ(m.rdx(), 0x1234u);
  }
}

TEST(Hypercall, CpuidTellsOfThem) {
  CallMachine m(Mode::k64);
  const trap::CpuidLeaf leaf = trap::cpuid_leaf(m.cpu(), m.board_, 0x4000'0001, 0);
  EXPECT_EQ(leaf, (trap::CpuidLeaf{1, 1, trap::kHypercallCount, 0}));
}

TEST(Hypercall, UpdatesAreDoneInTurn) {
  CallMachine m(Mode::k64);
  for (unsigned n = 0; n < 512; ++n) m.set_update(n, 0x40000 + 8 * n, 0x1111 * n);
  EXPECT_EQ(m.call(Hypercall::kMmuUpdate, kData, 512), 0);
  EXPECT_EQ(m.rdx(), 512u);
  for (unsigned n = 0; n < 512; ++n) EXPECT_EQ(m.word(0x40000 + 8 * n), 0x1111u * n);
  // The array is read before anything is done.
  m.set_update(0, kData + 16, 0x41000);
  m.set_update(1, 0x42000, 1);
  EXPECT_EQ(m.call(Hypercall::kMmuUpdate, kData, 2), 0);
  EXPECT_EQ(m.word(0x42000), 1u);
  EXPECT_EQ(m.word(0x41000), 0u);
}

TEST(Hypercall, UpdatesThatMakeNoSense) {
  CallMachine m(Mode::k64);
  EXPECT_EQ(m.call(Hypercall::kMmuUpdate, kData, 0), 0);
  EXPECT_EQ(m.call(Hypercall::kMmuUpdate, kHole, 0), 0) << "nothing is read";
  EXPECT_EQ(m.call(Hypercall::kMmuUpdate, kData, 513), kTooMany);
  EXPECT_EQ(m.call(Hypercall::kMmuUpdate, kData, ~uint64_t{0}), kTooMany);
  EXPECT_EQ(m.rdx(), 0u);
  for (const uint64_t bad :
       {uint64_t{0x40001}, TrapMachine::kRam, uint64_t{1} << 60, ~uint64_t{7}}) {
    m.set_update(0, 0x40000, 0x55);
    m.set_update(1, bad, 0x66);
    m.set_update(2, 0x40000, 0x77);
    EXPECT_EQ(m.call(Hypercall::kMmuUpdate, kData, 3), kInvalid) << std::hex << bad;
    EXPECT_EQ(m.rdx(), 1u);
    EXPECT_EQ(m.word(0x40000), 0x55u);
  }
}

TEST(Hypercall, PointersAreHostile) {
  CallMachine m(Mode::k64);
  m.set_word(TrapMachine::kTables + 0x2000 + 8, 0);  // the second 2 MiB are not mapped
  m.cpu().memory.invlpg(2u << 20);
  const uint64_t end = 2u << 20;
  for (const uint64_t bad : {end, end - 8, kHole, uint64_t{1} << 47, ~uint64_t{0},
                             ~uint64_t{0} - 15, uint64_t{1} << 63}) {
    EXPECT_EQ(m.call(Hypercall::kMmuUpdate, bad, 1), kBadPointer) << std::hex << bad;
    EXPECT_EQ(m.rdx(), 0u);
    EXPECT_EQ(m.call(Hypercall::kConsoleWrite, bad, 16), kBadPointer) << std::hex << bad;
  }
  EXPECT_EQ(m.console, "");
  EXPECT_EQ(m.cpu().state.cr2, 0u) << "no fault is told";
  EXPECT_EQ(m.call(Hypercall::kConsoleWrite, end - 16, 16), 0) << "up to the end";
  // What the kernel may not read.
  m.cpu().mmu().write_controls(m.cpu().controls().cr0, m.cpu().controls().cr4 | cr4::kSMAP,
                               m.cpu().controls().efer);
  EXPECT_EQ(m.call(Hypercall::kConsoleWrite, kData, 1), kBadPointer) << "SMAP";
}

TEST(Hypercall, PointersOf32BitCodeEndAt4GiB) {
  CallMachine m(Mode::k32);
  EXPECT_EQ(m.call(Hypercall::kConsoleWrite, 0xfffffff8, 16), kBadPointer);
  EXPECT_EQ(m.call(Hypercall::kConsoleWrite, TrapMachine::kRam, 1), kBadPointer);
  EXPECT_EQ(m.call(Hypercall::kConsoleWrite, TrapMachine::kRam - 1, 2), kBadPointer);
}

TEST(Hypercall, UpdateOfCodeIsSeen) {
  CallMachine m(Mode::k64);
  // Twice: mov $1, %ebx at kCode + 64 becomes mov $2, %ebx by a call.
  const std::vector<uint8_t> code = {0xb8, 1,    0,    0, 0,  // mov $1, %eax
                                     0xbf, 0,    0,    2, 0,  // mov $kData, %edi
                                     0xbe, 1,    0,    0, 0,  // mov $1, %esi
                                     0xe8, 0x2c, 0,    0, 0,  // call kCode + 64
                                     0x41, 0x89, 0xd8,        // mov %ebx, %r8d
                                     0x0f, 0x01, 0xc1,        // vmcall
                                     0xe8, 0x21, 0,    0, 0,  // call kCode + 64
                                     0xf4};
  std::vector<uint8_t> all = code;
  all.resize(64, 0x90);
  for (const uint8_t b : {0xbb, 1, 0, 0, 0, 0xc3, 0x90, 0x90}) all.push_back(b);
  m.set_update(0, TrapMachine::kCode + 64, 0x9090'c300'0000'02bb);
  EXPECT_EQ(m.run(all), "halted");
  EXPECT_EQ(m.cpu().gpr[8], 1u);
  EXPECT_EQ(m.cpu().gpr[kRbx], 2u);
}

TEST(Hypercall, SetCr3) {
  CallMachine m(Mode::k64);
  const uint64_t before = m.cpu().controls().cr3;
  EXPECT_EQ(m.call(Hypercall::kSetCr3, uint64_t{1} << 63), kInvalid) << "no PCIDs: no such bit";
  EXPECT_EQ(m.call(Hypercall::kSetCr3, uint64_t{1} << 60), kInvalid);
  EXPECT_EQ(m.cpu().controls().cr3, before);
  std::memcpy(m.ram(0x50000), m.ram(before), 4096);
  EXPECT_EQ(m.call(Hypercall::kSetCr3, 0x50000), 0);
  EXPECT_EQ(m.cpu().controls().cr3, 0x50000u);
}

TEST(Hypercall, Invalidate) {
  CallMachine m(Mode::k64);
  EXPECT_EQ(m.call(Hypercall::kInvalidate, 0, 0x1234), 0);
  EXPECT_EQ(m.call(Hypercall::kInvalidate, 1), 0);
  EXPECT_EQ(m.call(Hypercall::kInvalidate, 0, uint64_t{1} << 47), kInvalid);
  EXPECT_EQ(m.call(Hypercall::kInvalidate, 2), kInvalid);
  // What is kept of a page goes: it is there, then not.
  const uint64_t entry = TrapMachine::kTables + 0x2000 + 8;
  uint64_t value = 0;
  EXPECT_TRUE(m.cpu().memory.load(0x200000, value));
  m.set_word(entry, 0);
  EXPECT_EQ(m.call(Hypercall::kInvalidate, 0, 0x3ff000), 0);
  EXPECT_FALSE(m.cpu().memory.load(0x200000, value));
  m.set_word(entry, 0x200087);
  EXPECT_TRUE(m.cpu().memory.load(0x200000, value));
  m.set_word(entry, 0);
  EXPECT_EQ(m.call(Hypercall::kInvalidate, 1), 0);
  EXPECT_FALSE(m.cpu().memory.load(0x200000, value));
}

TEST(Hypercall, Console) {
  CallMachine m(Mode::k64);
  std::memset(m.ram(kData), 'x', 4096);
  std::memset(m.ram(kData + 4096), 'y', 4096);
  EXPECT_EQ(m.call(Hypercall::kConsoleWrite, kData + 2048, 4096), 0);
  EXPECT_EQ(m.console, std::string(2048, 'x') + std::string(2048, 'y'));
  EXPECT_EQ(m.call(Hypercall::kConsoleWrite, kData, 4097), kTooMany);
  EXPECT_EQ(m.call(Hypercall::kConsoleWrite, kData, 0), 0);
  EXPECT_EQ(m.console.size(), 4096u);
}

TEST(Hypercall, Exit) {
  CallMachine m(Mode::k64);
  EXPECT_EQ(m.call(Hypercall::kExit, (uint64_t{9} << 32) | 3), 0);
  EXPECT_EQ(m.exit_status, 3);
}

}  // namespace
}  // namespace gnomon::vmm

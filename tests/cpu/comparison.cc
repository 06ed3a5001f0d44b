// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/comparison.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/support/scale.h"

namespace gnomon::vmm {
namespace {

constexpr unsigned kMiddle = kMemoryBytes / 2;
constexpr uint64_t kUnmapped = FlatMachine::kRamBytes + 0x100000;

// One at a time: GCC 12 warns of inserted ranges without cause.
void append(std::vector<uint8_t>& to, absl::Span<const uint8_t> bytes) {
  to.reserve(to.size() + bytes.size());
  for (const uint8_t b : bytes) to.push_back(b);
}

std::string hex(absl::Span<const uint8_t> bytes) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string described(const Registers& r) {
  std::string text = absl::StrFormat("flags %x", r.flags);
  for (const unsigned n : {kRax, kRcx, kRdx, kRbx, kRsi})
    absl::StrAppendFormat(&text, " r%d=%x", n, r.gpr[n]);
  return text;
}

using Memory = std::array<uint8_t, kMemoryBytes>;

// What is in memory: registers that the instruction does not use.
Memory memory_of(const Registers& in) {
  Memory memory;
  for (unsigned i = 0; i < kMemoryBytes; i += 8)
    std::memcpy(&memory[i], &in.gpr[i / 8 % 4 + kR8], 8);
  return memory;
}

}  // namespace

Comparison::Comparison() : machine_(CodeKind::kLong64) {
  std::string why;
  host_ = native::HostRunner::create(why);
}

void Comparison::load(absl::Span<const uint8_t> instruction, bool memory) {
  instruction_.assign(instruction.begin(), instruction.end());
  memory_ = memory;
  machine_.load(instruction_);
  if (host_ != nullptr)
    host_->load(native::Mode::k64, instruction_, native::kCode + instruction_.size());
}

Registers Comparison::run(const Registers& in) {
  Cpu& cpu = machine_.cpu();
  std::copy(in.gpr.begin(), in.gpr.end(), cpu.gpr.begin());
  cpu.gpr[kRdi] = kMemory + kMiddle;
  if (memory_) std::memcpy(machine_.ram(kMemory), memory_of(in).data(), kMemoryBytes);
  cpu.flags.set(in.flags);
  cpu.rip = FlatMachine::kCode;
  machine_.run(1);
  Registers out;
  std::copy_n(cpu.gpr.begin(), 16, out.gpr.begin());
  out.flags = cpu.rflags() & flag::kArithmetic;
  ++cases_;
  return out;
}

bool Comparison::check(const Registers& in, uint64_t mask) {
  const Registers out = run(in);
  EXPECT_EQ(machine_.cpu().exit.reason, ExitReason::kBudget) << hex(instruction_);
  EXPECT_EQ(machine_.cpu().rip, FlatMachine::kCode + instruction_.size()) << hex(instruction_);
  if (host_ == nullptr) return true;
  native::State state;
  state.gpr = in.gpr;
  state.gpr[kRdi] = kMemory + kMiddle;
  state.rflags = in.flags;
  state.rip = native::kCode;
  if (memory_) host_->write_bytes(kMemory, memory_of(in));
  EXPECT_EQ(host_->run(native::Mode::k64, state).vector, native::Stop::kEnd) << hex(instruction_);
  const Registers host = {state.gpr, state.rflags & flag::kArithmetic};
  bool same = ((host.flags ^ out.flags) & mask) == 0 && host.gpr == out.gpr;
  if (memory_) {
    Memory bytes;
    host_->read_bytes(kMemory, absl::MakeSpan(bytes));
    same = same && std::memcmp(machine_.ram(kMemory), bytes.data(), kMemoryBytes) == 0;
  }
  EXPECT_TRUE(same) << hex(instruction_) << "\n  in:   " << described(in)
                    << "\n  host: " << described(host) << "\n  here: " << described(out);
  return same;
}

void Comparison::expect_fault(absl::Span<const uint8_t> instruction, bool write) {
  Cpu& cpu = machine_.cpu();
  machine_.load(instruction);
  scenario::Random random(instruction.size());
  // All of it, or only its last byte, is not mapped.
  for (const uint64_t address : {kUnmapped, FlatMachine::kRamBytes - 1}) {
    if (address != kUnmapped && (instruction[0] & 0xf0) != 0x40) continue;  // 64-bit operands
    for (int i = 0; i < 8; ++i) {
      const Registers in = random_registers(random);
      std::copy(in.gpr.begin(), in.gpr.end(), cpu.gpr.begin());
      cpu.gpr[kRdi] = address;
      cpu.flags.set(in.flags);
      const CpuState before = cpu.snapshot();
      const uint8_t byte = *machine_.ram(FlatMachine::kRamBytes - 1);
      EXPECT_EQ(machine_.run(1), ExitReason::kFault) << hex(instruction);
      EXPECT_EQ(cpu.exit.fault.vector, kPageFault) << hex(instruction);
      EXPECT_EQ(cpu.exit.fault.error & 2, write ? 2u : 0u) << hex(instruction);
      EXPECT_EQ(cpu.snapshot(), before) << hex(instruction);
      EXPECT_EQ(*machine_.ram(FlatMachine::kRamBytes - 1), byte) << hex(instruction);
    }
  }
}

std::vector<uint8_t> encode(unsigned size, std::initializer_list<uint8_t> opcode,
                            std::vector<uint8_t> last, bool has_byte_form) {
  std::vector<uint8_t> bytes;
  if (size == 2) bytes.push_back(0x66);
  if (size == 8) bytes.push_back(0x48);
  append(bytes, {opcode.begin(), opcode.size()});
  if (has_byte_form && size > 1) bytes.back() |= 1;
  append(bytes, last);
  return bytes;
}

uint64_t interesting(scenario::Random& random) {
  uint64_t value = random.next();
  const unsigned bits = 8u << random.below(4);
  switch (random.below(5)) {
    case 0: value = random.below(4); break;
    case 1: value = (uint64_t{1} << (bits - 1)) - random.below(3); break;
    case 2: value = (~uint64_t{0} >> (64 - bits)) - random.below(3); break;
    case 3: value = uint64_t{1} << random.below(64); break;
    default: break;
  }
  return random.percent(20) ? 0 - value : value;
}

Registers random_registers(scenario::Random& random) {
  Registers r;
  for (uint64_t& g : r.gpr) g = interesting(random);
  r.gpr[kRsp] = FlatMachine::kStack;
  r.flags = random.next() & flag::kArithmetic;
  return r;
}

unsigned scaled(unsigned full) {
  return small_scale() ? std::max(full / 16, 1u) : full;
}

}  // namespace gnomon::vmm

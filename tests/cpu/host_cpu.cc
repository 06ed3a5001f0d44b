// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/host_cpu.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon::vmm {
namespace {

constexpr size_t kPage = 4096;
constexpr unsigned kUsed[] = {kRax, kRcx, kRdx, kRbx, kRbp, kRsi, kRdi,
                              kR8,  kR9,  kR10, kR11, kR12, kR13, kR14};
constexpr unsigned kMiddle = kMemoryBytes / 2;
constexpr uint64_t kUnmapped = FlatMachine::kRamBytes + 0x100000;

// One at a time: GCC 12 warns of inserted ranges without cause.
void append(std::vector<uint8_t>& to, absl::Span<const uint8_t> bytes) {
  to.reserve(to.size() + bytes.size());
  for (const uint8_t b : bytes) to.push_back(b);
}

// MOV between a register and [R15 + offset].
void move(std::vector<uint8_t>& code, uint8_t opcode, unsigned reg, unsigned offset) {
  append(code, {static_cast<uint8_t>(0x49 | (reg >= 8 ? 4 : 0)), opcode,
                static_cast<uint8_t>(0x87 | (reg & 7) << 3), static_cast<uint8_t>(offset),
                static_cast<uint8_t>(offset >> 8), 0, 0});
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

}  // namespace

HostCpu::HostCpu() {
  void* const at =
      mmap(nullptr, kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at != MAP_FAILED) page_ = static_cast<uint8_t*>(at);
}
HostCpu::~HostCpu() {
  if (page_ != nullptr) munmap(page_, kPage);
}

void HostCpu::load(absl::Span<const uint8_t> instruction) {
  ASSERT_NE(page_, nullptr) << "no executable memory";
  // push rbx, rbp, r12 to r15; mov r15, rdi; push [r15 + flags]; popfq
  std::vector<uint8_t> code = {0x53,
                               0x55,
                               0x41,
                               0x54,
                               0x41,
                               0x55,
                               0x41,
                               0x56,
                               0x41,
                               0x57,
                               0x49,
                               0x89,
                               0xff,
                               0x41,
                               0xff,
                               0xb7,
                               offsetof(Registers, flags),
                               0,
                               0,
                               0,
                               0x9d};
  for (const unsigned r : kUsed) move(code, 0x8b, r, 8 * r);
  append(code, instruction);
  for (const unsigned r : kUsed) move(code, 0x89, r, 8 * r);
  // pushfq; pop [r15 + flags]; cld; pop r15 to r12, rbp, rbx; ret
  const uint8_t end[] = {0x9c, 0x41, 0x8f, 0x87, offsetof(Registers, flags),
                         0,    0,    0,    0xfc, 0x41,
                         0x5f, 0x41, 0x5e, 0x41, 0x5d,
                         0x41, 0x5c, 0x5d, 0x5b, 0xc3};
  append(code, end);
  std::copy(code.begin(), code.end(), page_);
}

void HostCpu::run(Registers& registers) {
  registers.flags |= flag::kOne | flag::kIF;
  reinterpret_cast<void (*)(Registers*)>(page_)(&registers);
  registers.flags &= flag::kArithmetic | flag::kDF;
}

void Comparison::load(absl::Span<const uint8_t> instruction, bool memory) {
  instruction_.assign(instruction.begin(), instruction.end());
  memory_ = memory;
  machine_.load(instruction_);
  if (kHostIsX86) host_.load(instruction_);
}

Registers Comparison::run(const Registers& in) {
  Cpu& cpu = machine_.cpu();
  std::copy(in.gpr.begin(), in.gpr.end(), cpu.gpr.begin());
  cpu.gpr[kRdi] = FlatMachine::kData + kMiddle;
  if (memory_) {
    uint8_t* const at = machine_.ram(FlatMachine::kData);
    for (unsigned i = 0; i < kMemoryBytes; i += 8) std::memcpy(at + i, &in.gpr[i / 8 % 4 + kR8], 8);
  }
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
  if (!kHostIsX86) return true;
  Registers host = in;
  const auto at = reinterpret_cast<uintptr_t>(host_memory_.data());
  host.gpr[kRdi] = at + kMiddle;
  if (memory_) {
    for (unsigned i = 0; i < kMemoryBytes; i += 8)
      std::memcpy(&host_memory_[i], &in.gpr[i / 8 % 4 + kR8], 8);
  }
  host_.run(host);
  host.gpr[kRdi] += FlatMachine::kData - at;
  bool same = ((host.flags ^ out.flags) & mask & flag::kArithmetic) == 0 && host.gpr == out.gpr;
  if (memory_)
    same = same &&
           std::memcmp(machine_.ram(FlatMachine::kData), host_memory_.data(), kMemoryBytes) == 0;
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
  const char* const scale = std::getenv("GNOMON_TEST_SCALE");
  return scale != nullptr && absl::string_view(scale) == "small" ? std::max(full / 16, 1u) : full;
}

}  // namespace gnomon::vmm

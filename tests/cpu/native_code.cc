// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/native_code.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kArithmetic = flag::kArithmetic;
constexpr int kRegisters[] = {kRax, kRcx, kRdx, kRdi};

}  // namespace

void NativeCode::load(absl::Span<const uint8_t> instruction) {
  host_->load(native::Mode::k64, instruction, native::kCode + instruction.size());
}

void NativeCode::run(UnitState& state) {
  native::State s;
  std::memcpy(static_cast<void*>(&s.fx), state.fx.data(), sizeof s.fx);
  for (size_t i = 0; i < 4; ++i) s.gpr[kRegisters[i]] = state.gpr[i];
  s.gpr[kRsi] = native::kData;
  s.rflags = state.flags;
  s.rip = native::kCode;
  host_->write_bytes(native::kData, state.memory);
  EXPECT_EQ(host_->run(native::Mode::k64, s).vector, native::Stop::kEnd);
  std::memcpy(state.fx.data(), &s.fx, sizeof s.fx);
  for (size_t i = 0; i < 4; ++i) state.gpr[i] = s.gpr[kRegisters[i]];
  state.flags = s.rflags;
  host_->read_bytes(native::kData, absl::MakeSpan(state.memory));
}

void to_cpu(const UnitState& from, CpuState& to) {
  to.x87.control = from.get<uint16_t>(0);
  to.x87.status = from.get<uint16_t>(2);
  to.x87.tags = from.get<uint8_t>(4);
  to.mxcsr = from.get<uint32_t>(24);
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(to.x87.r[(i + to.x87.top()) & 7].data(), from.fx.data() + 32 + 16 * i, 10);
  }
  for (unsigned i = 0; i < 16; ++i) to.xmm[i].q = from.get<std::array<uint64_t, 2>>(160 + 16 * i);
}

void from_cpu(const CpuState& from, UnitState& to) {
  to.put(0, from.x87.control);
  to.put(2, from.x87.status);
  to.put(4, from.x87.tags);
  to.put(24, from.mxcsr);
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(to.fx.data() + 32 + 16 * i, from.x87.r[(i + from.x87.top()) & 7].data(), 10);
  }
  for (unsigned i = 0; i < 16; ++i) to.put(160 + 16 * i, from.xmm[i].q);
}

void GuestCode::load(absl::Span<const uint8_t> instruction) {
  // What was decoded there before is another instruction's.
  machine_.code().code_written(machine_.ram(FlatMachine::kCode), 16);
  machine_.load(instruction);
}

bool GuestCode::run(UnitState& state) {
  Cpu& cpu = machine_.cpu();
  to_cpu(state, cpu.state);
  cpu.rip = FlatMachine::kCode;
  for (size_t i = 0; i < 4; ++i) cpu.gpr[kRegisters[i]] = state.gpr[i];
  cpu.gpr[kRsi] = native::kData;
  cpu.flags.set(state.flags);
  uint8_t* const data = machine_.ram(native::kData);
  std::memcpy(data, state.memory.data(), state.memory.size());
  const bool ok = machine_.run(1) == ExitReason::kBudget;
  from_cpu(cpu.state, state);
  for (size_t i = 0; i < 4; ++i) state.gpr[i] = cpu.gpr[kRegisters[i]];
  state.flags = cpu.rflags();
  std::memcpy(state.memory.data(), data, state.memory.size());
  return ok;
}

std::string difference(const UnitState& host, const UnitState& guest) {
  std::string text;
  const auto compare = [&](const char* what, size_t offset, size_t bytes) {
    if (std::memcmp(host.fx.data() + offset, guest.fx.data() + offset, bytes) == 0) return;
    absl::StrAppend(&text, what, " host ");
    for (size_t i = bytes; i-- > 0;) absl::StrAppendFormat(&text, "%02x", host.fx[offset + i]);
    absl::StrAppend(&text, " guest ");
    for (size_t i = bytes; i-- > 0;) absl::StrAppendFormat(&text, "%02x", guest.fx[offset + i]);
    absl::StrAppend(&text, "\n");
  };
  compare("control", 0, 2);
  compare("status", 2, 2);
  compare("tags", 4, 1);
  compare("MXCSR", 24, 4);
  for (unsigned i = 0; i < 8; ++i) compare(absl::StrCat("ST", i).c_str(), 32 + 16 * i, 10);
  for (unsigned i = 0; i < 16; ++i) compare(absl::StrCat("XMM", i).c_str(), 160 + 16 * i, 16);
  for (size_t i = 0; i < 4; ++i) {
    if (host.gpr[i] == guest.gpr[i]) continue;
    absl::StrAppendFormat(&text, "register %d host %x guest %x\n", i, host.gpr[i], guest.gpr[i]);
  }
  if (((host.flags ^ guest.flags) & kArithmetic) != 0) {
    absl::StrAppendFormat(&text, "flags host %x guest %x\n", host.flags, guest.flags);
  }
  for (size_t i = 0; i < host.memory.size(); ++i) {
    if (host.memory[i] == guest.memory[i]) continue;
    absl::StrAppendFormat(&text, "memory at %d host %02x guest %02x\n", i, host.memory[i],
                          guest.memory[i]);
    break;
  }
  return text;
}

}  // namespace gnomon::vmm

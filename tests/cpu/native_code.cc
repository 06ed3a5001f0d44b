// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/native_code.h"

#include <sys/mman.h>

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon::vmm {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr uint64_t kArithmetic = flag::kArithmetic;

void append(std::vector<uint8_t>& to, std::initializer_list<int> bytes) {
  for (const int b : bytes) to.push_back(static_cast<uint8_t>(b));
}
// <op> reg, [rbx + disp32], with REX.W.
void access(std::vector<uint8_t>& to, int opcode, int reg, size_t offset) {
  append(to, {0x48, opcode, 0x83 | reg << 3});
  const auto disp = static_cast<uint32_t>(offset);
  for (int i = 0; i < 4; ++i) to.push_back(static_cast<uint8_t>(disp >> 8 * i));
}
void access_fx(std::vector<uint8_t>& to, int extension) {
  append(to, {0x48, 0x0f, 0xae, 0x03 | extension << 3});
}

}  // namespace

NativeCode::NativeCode() {
  void* const p = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE | PROT_EXEC,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p != MAP_FAILED) page_ = static_cast<uint8_t*>(p);
}

NativeCode::~NativeCode() {
  if (page_ != nullptr) munmap(page_, kPageBytes);
}

void NativeCode::load(absl::Span<const uint8_t> instruction) {
  constexpr size_t kGpr = offsetof(UnitState, gpr);
  constexpr int kLoad = 0x8b, kStore = 0x89, kLea = 0x8d;
  std::vector<uint8_t> code;
  append(code, {0x53, 0x48, 0x89, 0xfb});  // push rbx; mov rbx, rdi
  access_fx(code, 1);                      // fxrstor64 [rbx]
  access(code, kLea, kRsi, offsetof(UnitState, memory));
  access(code, kLoad, kRax, offsetof(UnitState, flags));
  append(code, {0x50, 0x9d});  // push rax; popfq
  const int registers[] = {kRax, kRcx, kRdx, kRdi};
  for (size_t i = 0; i < 4; ++i) access(code, kLoad, registers[i], kGpr + 8 * i);
  code.insert(code.end(), instruction.begin(), instruction.end());
  for (size_t i = 0; i < 4; ++i) access(code, kStore, registers[i], kGpr + 8 * i);
  append(code, {0x9c, 0x58});  // pushfq; pop rax
  access(code, kStore, kRax, offsetof(UnitState, flags));
  access_fx(code, 0);                                      // fxsave64 [rbx]
  append(code, {0xdb, 0xe3});                              // fninit
  append(code, {0x68, 0x80, 0x1f, 0, 0});                  // push 0x1f80
  append(code, {0x0f, 0xae, 0x14, 0x24, 0x58, 0x5b, 0xc3});  // ldmxcsr [rsp]; pop rax; pop rbx; ret
  std::memcpy(page_, code.data(), code.size());
}

void NativeCode::run(UnitState& state) {
  void (*function)(UnitState*);
  std::memcpy(&function, &page_, sizeof function);
  function(&state);
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
  const int registers[] = {kRax, kRcx, kRdx, kRdi};
  for (size_t i = 0; i < 4; ++i) cpu.gpr[registers[i]] = state.gpr[i];
  cpu.gpr[kRsi] = FlatMachine::kData;
  cpu.flags.set(state.flags);
  uint8_t* const data = machine_.ram(FlatMachine::kData);
  std::memcpy(data, state.memory.data(), state.memory.size());
  const bool ok = machine_.run(1) == ExitReason::kBudget;
  from_cpu(cpu.state, state);
  for (size_t i = 0; i < 4; ++i) state.gpr[i] = cpu.gpr[registers[i]];
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
    absl::StrAppendFormat(&text, "memory at %d host %02x guest %02x\n", i, host.memory[i], guest.memory[i]);
    break;
  }
  return text;
}

}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/hypercalls.h"

#include <algorithm>

#include "absl/types/span.h"
#include "gnomon/memory/bytes.h"
#include "vmm/trap/control_registers.h"
#include "vmm/trap/instruction.h"

namespace gnomon::vmm::trap {
namespace {

using namespace hypercall_error;

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kEntryBytes = 8;
constexpr uint64_t kUpdateBytes = 16;  // address and value
// Kinds of invalidate.
constexpr uint64_t kOneAddress = 0, kEverything = 1;

struct Call {
  Cpu& cpu;
  MachineControl& machine;
  const std::function<void(absl::string_view)>& console;
  uint64_t first = 0, second = 0;  // operands: RDI, RSI
  uint64_t& result;                // RDX, an answer besides that in RAX
};

constexpr std::array<HypercallInfo, kHypercallCount> kTable = {{
    {Hypercall::kFeatures, "features", "version and features"},
    {Hypercall::kMmuUpdate, "mmu_update", "store page-table entries"},
    {Hypercall::kSetCr3, "set_cr3", "load CR3"},
    {Hypercall::kInvalidate, "invalidate", "forget translations"},
    {Hypercall::kConsoleWrite, "console_write", "write to the console"},
    {Hypercall::kExit, "exit", "end the machine"},
}};

constexpr bool in_order() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<size_t>(kTable[i].id) != i) return false;
  }
  return true;
}
static_assert(in_order());

// A register as far as the code's mode has it.
uint64_t operand(const Cpu& cpu, unsigned reg) {
  return cpu.code64() ? cpu.gpr[reg] : cpu.gpr[reg] & 0xffff'ffff;
}

/// Is all of it RAM that the guest's kernel may read? Nothing changes by the question.
bool readable(Cpu& cpu, uint64_t at, uint64_t bytes) {
  const uint64_t last = at + bytes - 1;
  if (last < at || (!cpu.long_mode() && last >> 32 != 0)) return false;
  constexpr Access kLook{AccessOp::kRead, Privilege::kSupervisor, /*probe=*/true};
  for (uint64_t page = at & ~(kPageBytes - 1);; page += kPageBytes) {
    if (!cpu.mmu().access(Gva(std::max(page, at)), kLook).ok()) return false;
    if (last - page < kPageBytes) return true;
  }
}

bool read(Cpu& cpu, uint64_t at, absl::Span<uint8_t> to) {
  return to.empty() || (readable(cpu, at, to.size()) &&
                        cpu.memory.load_bytes(at, to.data(), static_cast<unsigned>(to.size()),
                                              Privilege::kSupervisor));
}

/// Does the backend validate the guest's tables? No other ever answers kRefused.
bool validates_tables(const Cpu& cpu) { return cpu.memory.backend().validates_tables(); }

/// Does the backend take the tables that CR3 names?
bool tables_refused(Cpu& cpu) {
  if (!validates_tables(cpu)) return false;
  const Translation t =
      cpu.mmu().access(Gva(0), {AccessOp::kRead, Privilege::kImplicit, /*probe=*/true});
  return t.outcome == Outcome::kHostViolation && t.cause == HostCause::kNone;
}

int64_t features(Call& call) {
  call.result = uint64_t{kHypercallVersion} << 16 | hypercall_features(call.cpu);
  return 0;
}

int64_t mmu_update(Call& call) {
  call.result = 0;
  const uint64_t count = call.second;
  if (count > kMostUpdates) return kTooMany;
  std::array<uint8_t, kMostUpdates * kUpdateBytes> updates;
  if (!read(call.cpu, call.first, absl::MakeSpan(updates.data(), count * kUpdateBytes)))
    return kBadPointer;
  for (; call.result < count; ++call.result) {
    const uint8_t* update = updates.data() + call.result * kUpdateBytes;
    const Gpa at(load_bytes(update, kEntryBytes));
    if (at.value() % kEntryBytes != 0) return kInvalid;
    switch (call.cpu.memory.write_physical(at, load_bytes(update + kEntryBytes, kEntryBytes),
                                           kEntryBytes)) {
      case StoreResult::kDone: break;
      case StoreResult::kRefused: return kRefused;
      case StoreResult::kReadOnly:
      case StoreResult::kNotBacked: return kInvalid;
    }
  }
  return 0;
}

int64_t set_cr3(Call& call) {
  Cpu& cpu = call.cpu;
  const uint64_t before = cpu.controls().cr3;
  if (!load_cr3(cpu, call.first)) return kInvalid;
  if (!tables_refused(cpu)) return 0;
  load_cr3(cpu, before);
  return kRefused;
}

int64_t invalidate(Call& call) {
  Cpu& cpu = call.cpu;
  switch (call.first) {
    case kOneAddress:
      if (cpu.long_mode() && !canonical(cpu, call.second)) return kInvalid;
      cpu.memory.invlpg(call.second);
      return 0;
    case kEverything: return cpu.memory.invpcid(InvpcidType::kAllWithGlobals, 0, 0) ? 0 : kInvalid;
    default: return kInvalid;
  }
}

int64_t console_write(Call& call) {
  if (call.second > kMostConsoleBytes) return kTooMany;
  std::array<uint8_t, kMostConsoleBytes> text;
  if (!read(call.cpu, call.first, absl::MakeSpan(text.data(), call.second))) return kBadPointer;
  if (call.console && call.second != 0) {
    call.console({reinterpret_cast<const char*>(text.data()), call.second});
  }
  return 0;
}

int64_t exit(Call& call) {
  call.machine.request_exit(static_cast<int>(static_cast<uint32_t>(call.first)));
  return 0;
}

// In the order of the table.
constexpr std::array<int64_t (*)(Call&), kHypercallCount> kFunctions = {
    features, mmu_update, set_cr3, invalidate, console_write, exit};

}  // namespace

const std::array<HypercallInfo, kHypercallCount>& hypercall_table() { return kTable; }

uint32_t hypercall_features(const Cpu& cpu) {
  return hypercall_feature::kCalls | (validates_tables(cpu) ? hypercall_feature::kValidates : 0);
}

uint64_t hypercall_number(const Cpu& cpu) { return operand(cpu, kRax); }

absl::string_view hypercall_name(uint64_t number) {
  return number < kHypercallCount ? kTable[number].name : "unknown";
}

void do_hypercall(Cpu& cpu, MachineControl& machine,
                  const std::function<void(absl::string_view)>& console) {
  const uint64_t number = hypercall_number(cpu);
  uint64_t result = operand(cpu, kRdx);
  Call call{cpu, machine, console, operand(cpu, kRdi), operand(cpu, kRsi), result};
  const int64_t answer = number < kHypercallCount ? kFunctions[number](call) : kNoSuchCall;
  const unsigned size = cpu.code64() ? 8 : 4;
  set_register(cpu, 8 * kRax, size, static_cast<uint64_t>(answer));
  set_register(cpu, 8 * kRdx, size, result);
}

}  // namespace gnomon::vmm::trap

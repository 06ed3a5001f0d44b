// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/interp.h"

namespace gnomon::vmm {

Interp::Interp(CodeCache& code) : code_(code), known_(std::make_unique<std::array<Known, kKnown>>()) {}

void Interp::set_breakpoint(uint64_t linear, bool on) {
  if (on) {
    breakpoints_.insert(linear);
  } else {
    breakpoints_.erase(linear);
  }
}

bool Interp::at_breakpoint(Cpu& cpu) {
  const bool stops = !skip_ && breakpoints_.contains(cpu.linear(kCs, cpu.rip));
  skip_ = false;
  if (stops) cpu.exit.reason = ExitReason::kBreakpoint;
  return stops;
}

// RIP is within the code segment and as wide as it is.
bool Interp::fetch_checked(Cpu& cpu) {
  if (cpu.code64()) return true;
  if ((cpu.mode & code_mode::kBits) == code_mode::k16) {
    cpu.rip &= 0xffff;
  } else {
    cpu.rip &= 0xffff'ffff;
  }
  if (cpu.rip <= cpu.state.segments[kCs].limit) return true;
  cpu.exit.reason = ExitReason::kFault;
  cpu.exit.fault = Fault::gp();
  return false;
}

Block* Interp::find(Cpu& cpu, uint8_t mode) {
  const uint64_t linear = cpu.linear(kCs, cpu.rip);
  Known& k = (*known_)[(linear ^ linear >> 12) & (kKnown - 1)];
  if (k.linear == linear && k.epoch == cpu.memory.epoch() && k.block->mode == mode && !k.block->stale)
      [[likely]] {
    return k.block;
  }
  Block* const block = code_.find(cpu, mode);
  // One that crosses pages is compared with its bytes each time.
  if (block != nullptr && !block->crosses) k = {linear, cpu.memory.epoch(), block};
  return block;
}

void Interp::run(Cpu& cpu, uint64_t until) {
  cpu.exit = Exit{};
  cpu.memory.check_requests();
  const bool exact = cpu.memory.exact();
  bool alone = false;  // the next instruction accesses a device
  while (cpu.instructions < until) {
    if (cpu.attention) [[unlikely]] {
      cpu.exit.reason = ExitReason::kAttention;
      return;
    }
    if (!cpu.code64() && !fetch_checked(cpu)) [[unlikely]] return;
    if (!breakpoints_.empty() && at_breakpoint(cpu)) [[unlikely]] return;
    code_.make_room();
    const bool traps = (cpu.state.rflags & flag::kTF) != 0;
    const bool single = traps || exact || alone || !breakpoints_.empty();
    Block* block = find(cpu, single ? cpu.mode | code_mode::kSingle : cpu.mode);
    if (block != nullptr && block->instructions > until - cpu.instructions) [[unlikely]] {
      block = find(cpu, cpu.mode | code_mode::kSingle);
    }
    if (block == nullptr) [[unlikely]] return;
    cpu.memory.set_devices_allowed((block->mode & code_mode::kSingle) != 0);
    cpu.gpr[kBlockStart] = cpu.rip;
    const uint64_t before = cpu.instructions;
    block->ops->run(cpu, block->ops);
    cpu.memory.set_devices_allowed(true);  // for the VMM: the count of instructions is exact now
    alone = cpu.exit.reason == ExitReason::kDevice;
    if (alone) [[unlikely]] {
      cpu.exit = Exit{};
      cpu.memory.wants_device = false;
      continue;
    }
    if (cpu.exit.reason != ExitReason::kNone) return;
    if (traps && cpu.instructions != before) [[unlikely]] {
      cpu.exit.reason = ExitReason::kTrap;
      return;
    }
  }
  cpu.exit.reason = ExitReason::kBudget;
}

}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/interp.h"

#include <algorithm>

#include "vmm/cpu/chain.h"

namespace gnomon::vmm {
namespace {

// Blocks follow each other without the dispatcher for so many instructions. Not more, because a
// handler that the compiler could not make end in a jump leaves its frame on the stack.
constexpr uint64_t kHorizon = 1024;

// Bits 57 to 63 of a canonical address are like bit 56, so that these seven keep equal addresses
// apart.
uint64_t context_of(uint8_t mode, bool user) {
  static_assert((code_mode::kBits | code_mode::kStack32 | code_mode::kFlat | code_mode::kSingle |
                 code_mode::kReal) < 64);
  return uint64_t{mode} << 57 | uint64_t{user} << 63;
}

}  // namespace

Interp::Interp(CodeCache& code) : code_(code), jumps_(Cpu::kJumps) {}

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

Block* Interp::find(Cpu& cpu, uint8_t mode) {
  // Each instruction is fetched, so that the fetch is counted.
  if (cpu.memory.exact()) return code_.find(cpu, mode);
  const uint64_t linear = cpu.linear(kCs, cpu.rip);
  Jump& j = cpu.jump(linear);
  const uint64_t key = linear ^ context_of(mode, cpu.memory.user());
  if (j.key == key && j.epoch == cpu.memory.epoch() && !j.block->stale) [[likely]]
    return j.block;
  Block* const block = code_.find(cpu, mode);
  // Of one that crosses pages the second is looked up each time.
  if (block != nullptr && !block->crosses()) {
    j = {key, cpu.memory.epoch(), block->ops, block, block->instructions};
  }
  return block;
}

// The block at RIP; null: an exception, which the processor's exit says. `alone`: of one
// instruction.
Block* Interp::next_block(Cpu& cpu, bool alone) {
  const uint8_t single = cpu.mode | code_mode::kSingle;
  if ((cpu.mode & code_mode::kFlat) != 0) {
    if (alone) return find(cpu, single);
    Block* const block = find(cpu, cpu.mode);
    const bool fits = block == nullptr || block->instructions <= cpu.until - cpu.instructions;
    return fits ? block : find(cpu, single);
  }
  // What is fetched must lie within the code segment.
  const uint64_t limit = cpu.state.segments[kCs].limit;
  const auto beyond = [&](const Block* b) {
    return b != nullptr && cpu.rip + b->bytes > limit + 1;
  };
  Block* block = cpu.rip <= limit ? find(cpu, alone ? single : cpu.mode) : nullptr;
  if (!alone &&
      (beyond(block) || (block != nullptr && block->instructions > cpu.until - cpu.instructions))) {
    block = find(cpu, single);
  }
  if (cpu.rip <= limit && !beyond(block)) return block;
  cpu.exit.reason = ExitReason::kFault;
  cpu.exit.fault = Fault::gp();
  return nullptr;
}

void Interp::run(Cpu& cpu, uint64_t until) {
  cpu.exit = Exit{};
  if (cpu.attention) {
    cpu.exit.reason = ExitReason::kAttention;
    return;
  }
  MemoryPath& memory = cpu.memory;
  memory.check_requests();
  cpu.until = until;
  cpu.jumps = jumps_.data();
  cpu.context = context_of(cpu.mode, memory.user());
  cpu.link = nullptr;
  // None of these changes but by what goes to the VMM.
  const bool traps = (cpu.state.rflags & flag::kTF) != 0;
  const bool single = traps || memory.exact() || !breakpoints_.empty();
  const bool links = !single && mode_links(cpu.mode);
  bool alone = single;
  const uint64_t ip_mask = cpu.ip_mask();
  cpu.rip &= ip_mask;
  while (cpu.instructions < until) {
    if (!breakpoints_.empty() && at_breakpoint(cpu)) [[unlikely]]
      return;
    if (code_.make_room()) [[unlikely]]
      cpu.link = nullptr;
    Block* const block = next_block(cpu, alone);
    if (block == nullptr) [[unlikely]]
      return;
    if (cpu.link != nullptr) {
      resolve_link(cpu.link, *block);
      cpu.link = nullptr;
    }
    cpu.gpr[kBlockStart] = cpu.rip;
    cpu.horizon = links && !alone ? std::min(until, cpu.instructions + kHorizon) : 0;
    memory.set_devices_allowed((block->mode & code_mode::kSingle) != 0 && cpu.horizon == 0);
    const uint64_t before = cpu.instructions;
    block->ops->run(cpu, block->ops);
    cpu.rip &= ip_mask;
    memory.set_devices_allowed(true);  // for the VMM: the count of instructions is exact now
    alone = single;
    if (cpu.exit.reason == ExitReason::kDevice) [[unlikely]] {
      cpu.exit = Exit{};
      memory.wants_device = false;
      alone = true;
      continue;
    }
    const bool done = cpu.exit.reason == ExitReason::kNone ||
                      cpu.exit.reason == ExitReason::kAttention;
    // The trap comes first; whoever wants attention gets it after the delivery.
    if (traps && done && cpu.instructions != before) [[unlikely]] {
      cpu.exit.reason = ExitReason::kTrap;
      return;
    }
    if (cpu.exit.reason != ExitReason::kNone) return;
  }
  cpu.exit.reason = ExitReason::kBudget;
}

}  // namespace gnomon::vmm

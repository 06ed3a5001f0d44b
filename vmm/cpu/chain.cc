// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/chain.h"

#include "vmm/cpu/code_cache.h"

namespace gnomon::vmm {
namespace {

constexpr uintptr_t kPageBytes = 4096;

// A stale op: to the dispatcher, before this instruction.
void leave_stale(Cpu& cpu, const Op* op) {
  cpu.rip = rip_of(cpu, op);
  cpu.instructions += op->number;
}

// Ends of blocks. `number` instructions lie before them.

template <bool branch>
void end_unlinked(Cpu& cpu, const Op* op) {
  cpu.instructions += op->number;
  const uint64_t rip = cpu.gpr[kBlockStart] + op->imm;
  if constexpr (branch) return leave_to(cpu, rip);
  cpu.rip = rip;
}

// In another page, perhaps.
template <bool branch>
void end_far(Cpu& cpu, const Op* op) {
  const uint64_t rip = (cpu.gpr[kBlockStart] + op->imm) & cpu.linear_mask;
  const uint64_t done = cpu.instructions + op->number;
  const Jump& j = cpu.jump(rip);
  if (j.key == (rip ^ cpu.context) && j.epoch == cpu.memory.epoch() &&
      done + j.instructions <= cpu.horizon && !cpu.attention) [[likely]] {
    cpu.instructions = done;
    cpu.gpr[kBlockStart] = rip;
    return j.ops->run(cpu, j.ops);
  }
  return end_unlinked<branch>(cpu, op);
}

// In this page, not seen yet: `address_mask` is where it lies in the host.
template <bool branch>
void end_unresolved(Cpu& cpu, const Op* op) {
  cpu.link = op;
  return end_unlinked<branch>(cpu, op);
}

// `address_mask` points to the ops of the target, `disp` is how many instructions it has.
template <bool branch>
void end_linked(Cpu& cpu, const Op* op) {
  const auto* target = reinterpret_cast<const Op*>(op->address_mask);
  const uint64_t done = cpu.instructions + op->number;
  if (done + static_cast<uint32_t>(op->disp) > cpu.horizon || cpu.attention) [[unlikely]] {
    return end_unlinked<branch>(cpu, op);
  }
  cpu.instructions = done;
  cpu.gpr[kBlockStart] += op->imm;
  return target->run(cpu, target);
}

}  // namespace

Op make_link(uint8_t mode, const uint8_t* host, uint64_t distance, unsigned instructions,
             bool branch) {
  Op op;
  op.imm = distance;
  op.offset = static_cast<uint16_t>(
      distance);  // of the end that is not a branch taken: RIP, should it become stale
  op.number = static_cast<uint16_t>(instructions);
  op.flags = branch ? op_flag::kEnds : 0;
  if (!mode_links(mode)) {
    op.run = branch ? end_unlinked<true> : end_unlinked<false>;
    return op;
  }
  const uintptr_t from = reinterpret_cast<uintptr_t>(host);
  const uintptr_t to = from + distance;
  if (to / kPageBytes == from / kPageBytes) {
    op.run = branch ? end_unresolved<true> : end_unresolved<false>;
    op.address_mask = to;
  } else {
    op.run = branch ? end_far<true> : end_far<false>;
  }
  return op;
}

void resolve_link(const Op* link, Block& target) {
  if (target.crosses() || target.stale || !mode_links(target.mode)) return;
  if (link->address_mask != reinterpret_cast<uintptr_t>(target.host)) return;
  // Ops are the code cache's, which gave the link to the handlers as const.
  auto* op = const_cast<Op*>(link);
  op->run = (op->flags & op_flag::kEnds) != 0 ? end_linked<true> : end_linked<false>;
  op->address_mask = reinterpret_cast<uintptr_t>(target.ops);
  op->disp = target.instructions;
  target.links.push_back(link);
}

void unresolve_link(const Op* link, const Block& target) {
  auto* op = const_cast<Op*>(link);
  if (op->run == leave_stale) return;  // so is its own block
  op->run = (op->flags & op_flag::kEnds) != 0 ? end_unresolved<true> : end_unresolved<false>;
  op->address_mask = reinterpret_cast<uintptr_t>(target.host);
}

void make_stale(Op& op) { op.run = leave_stale; }

}  // namespace gnomon::vmm

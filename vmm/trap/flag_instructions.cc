// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/instructions.h"
#include "vmm/trap/stack.h"

// PUSHF, POPF, CLI, STI, CLAC, STAC. Neither virtual-8086 mode nor its extensions (CR4.VME,
// CR4.PVI) are there.

namespace gnomon::vmm::trap {

bool push_flags(Instruction& in) {
  uint64_t image = in.cpu.rflags() & ~(flag::kRF | flag::kVM);
  // At level 3 of a processor that runs with interrupts on.
  if (in.policy.naive) image = (image & ~flag::kIOPL) | flag::kIF;
  Stack stack = current_stack(in.cpu);
  if (!stack_push(in.cpu, stack, in.op.size, {&image, 1})) return false;
  set_stack_pointer(in.cpu, stack);
  return true;
}

bool pop_flags(Instruction& in) {
  Cpu& cpu = in.cpu;
  Stack stack = current_stack(cpu);
  uint64_t image = 0;
  if (!stack_load(cpu, stack, 0, in.op.size, image)) return false;
  uint64_t changes = flag::kArithmetic | flag::kTF | flag::kDF | flag::kNT;
  if (in.op.size >= 4) changes |= flag::kAC | flag::kID;
  if (!in.policy.naive) {
    const bool all = cpu.real_mode() || cpu.state.cpl == 0;
    if (all || cpu.state.cpl <= iopl(cpu)) changes |= flag::kIF;
    if (all) changes |= flag::kIOPL;
  }
  stack.sp = stack.up(in.op.size);
  set_stack_pointer(cpu, stack);
  cpu.set_rflags((cpu.rflags() & ~changes) | (image & changes) | flag::kOne);
  return true;
}

bool interrupt_flag(Instruction& in) {
  Cpu& cpu = in.cpu;
  if (cpu.protected_mode() && cpu.state.cpl > iopl(cpu)) return general_protection(cpu);
  if (in.op.code == ZYDIS_MNEMONIC_CLI) {
    cpu.state.rflags &= ~flag::kIF;
    return true;
  }
  if ((cpu.state.rflags & flag::kIF) == 0) cpu.state.interrupt_shadow = true;
  cpu.state.rflags |= flag::kIF;
  return true;
}

bool access_check_flag(Instruction& in) {
  Cpu& cpu = in.cpu;
  const uint64_t others = cpu.rflags() & ~flag::kAC;
  cpu.set_rflags(in.op.code == ZYDIS_MNEMONIC_STAC ? others | flag::kAC : others);
  return true;
}

}  // namespace gnomon::vmm::trap

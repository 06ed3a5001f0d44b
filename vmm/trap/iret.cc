// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/code_segment.h"
#include "vmm/trap/instructions.h"
#include "vmm/trap/stack.h"

// IRET (SDM vol. 2). A return to another task (NT set) and one to virtual-8086 mode raise #GP(0).

namespace gnomon::vmm::trap {
namespace {

constexpr uint64_t kAlways = flag::kArithmetic | flag::kTF | flag::kDF | flag::kNT;

// What may be taken from the image on the stack.
uint64_t returned_flags(const Instruction& in, uint64_t image, bool outward) {
  const Cpu& cpu = in.cpu;
  uint64_t changes = kAlways;
  if (in.op.size >= 4) changes |= flag::kRF | flag::kAC | flag::kID;
  // Naively at level 3 of the processor, a return to "the same" level is one at level 3.
  const bool naive = in.policy.naive && !outward;
  if (!naive && (cpu.real_mode() || cpu.state.cpl <= iopl(cpu))) changes |= flag::kIF;
  if (!naive && (cpu.real_mode() || cpu.state.cpl == 0)) changes |= flag::kIOPL;
  return (cpu.rflags() & ~changes) | (image & changes) | flag::kOne;
}

bool return_real(Instruction& in, uint64_t rip, uint16_t selector, uint64_t image) {
  Cpu& cpu = in.cpu;
  if (rip > cpu.state.segments[kCs].limit) return general_protection(cpu);
  Stack stack = current_stack(cpu);
  stack.sp = stack.up(3u * in.op.size);
  set_stack_pointer(cpu, stack);
  cpu.set_rflags(returned_flags(in, image, false));
  set_real_segment(cpu, kCs, selector);
  return true;
}

bool return_protected(Instruction& in, uint64_t rip, uint16_t selector, uint64_t image) {
  Cpu& cpu = in.cpu;
  const unsigned size = in.op.size;
  if ((image & flag::kVM) != 0 && size >= 4 && cpu.state.cpl == 0 && !cpu.long_mode()) {
    return general_protection(cpu);
  }
  Descriptor d;
  if (!check_return_segment(cpu, selector, d)) return false;
  const unsigned cpl = selector & 3;
  const bool outward = cpl > cpu.state.cpl;
  Stack stack = current_stack(cpu);
  Segment ss = cpu.state.segments[kSs];
  stack.sp = stack.up(3 * size);
  uint64_t sp = 0;
  const bool switches = outward || cpu.code64();
  if (switches) {
    uint64_t stack_selector = 0;
    if (!stack_load(cpu, stack, 0, size, sp) ||
        !stack_load(cpu, stack, size, size, stack_selector) ||
        !check_return_stack(cpu, static_cast<uint16_t>(stack_selector), cpl, d, ss)) {
      return false;
    }
  }
  if (!ip_fits(cpu, d, rip)) return general_protection(cpu);
  if (!mark_descriptor(cpu, d, seg::kAccessed)) return false;

  const uint64_t flags = returned_flags(in, image, outward);
  set_code_segment(cpu, d, selector, cpl);
  cpu.state.segments[kSs] = ss;
  if (!switches) set_stack_pointer(cpu, stack);
  cpu.set_rflags(flags);
  cpu.mode_changed();
  if (switches) {
    Stack outer = current_stack(cpu);
    outer.sp = sp & outer.mask;
    set_stack_pointer(cpu, outer);
  }
  if (outward) drop_inner_segments(cpu);
  return true;
}

}  // namespace

bool interrupt_return(Instruction& in) {
  Cpu& cpu = in.cpu;
  // Also of one that faults (SDM vol. 3, 27.2.3, "NMI unblocking due to IRET").
  cpu.state.nmi_blocked = false;
  if (!cpu.real_mode() && (cpu.state.rflags & flag::kNT) != 0) return general_protection(cpu);
  const unsigned size = in.op.size;
  const Stack stack = current_stack(cpu);
  uint64_t rip = 0;
  uint64_t selector = 0;
  uint64_t image = 0;
  if (!stack_load(cpu, stack, 0, size, rip) || !stack_load(cpu, stack, size, size, selector) ||
      !stack_load(cpu, stack, 2 * size, size, image)) {
    return false;
  }
  const auto cs = static_cast<uint16_t>(selector);
  const bool done =
      cpu.real_mode() ? return_real(in, rip, cs, image) : return_protected(in, rip, cs, image);
  if (!done) return false;
  cpu.mode_changed();
  in.next = rip;
  in.keeps_rf = size >= 4;
  return true;
}

}  // namespace gnomon::vmm::trap

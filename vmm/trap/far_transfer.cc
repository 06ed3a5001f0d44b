// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/code_segment.h"
#include "vmm/trap/instructions.h"
#include "vmm/trap/stack.h"

// Far JMP, CALL and RET (SDM vol. 2, JMP, CALL, RET). Call gates, task gates and task-state
// segments as targets raise #GP with their selector: no system that this machine is for uses them.

namespace gnomon::vmm::trap {

bool check_return_segment(Cpu& cpu, uint16_t selector, Descriptor& d) {
  if (is_null(selector)) return general_protection(cpu);
  if (!need_descriptor(cpu, selector, kGeneralProtection, 0, d)) return false;
  const unsigned rpl = selector & 3;
  const bool level = d.conforming() ? d.dpl() <= rpl : d.dpl() == rpl;
  if (!d.code() || rpl < cpu.state.cpl || !level || !valid_size(cpu, d)) {
    return general_protection(cpu, error_of(selector));
  }
  if (!d.present()) return fail(cpu, Fault::with_error(kSegmentNotPresent, error_of(selector)));
  return true;
}

bool check_return_stack(Cpu& cpu, uint16_t selector, unsigned cpl, const Descriptor& code,
                        Segment& ss) {
  if (is_null(selector)) {
    const bool allowed = cpu.long_mode() && code.code64() && cpl != 3 && (selector & 3u) == cpl;
    if (!allowed) return general_protection(cpu);
    ss = null_segment(selector);
    return true;
  }
  Descriptor d;
  if (!check_stack_segment(cpu, selector, cpl, kGeneralProtection, 0, d) ||
      !mark_descriptor(cpu, d, seg::kAccessed)) {
    return false;
  }
  ss = d.segment(selector);
  return true;
}

void set_code_segment(Cpu& cpu, const Descriptor& d, uint16_t selector, unsigned cpl) {
  cpu.state.segments[kCs] = d.segment(static_cast<uint16_t>((selector & ~3u) | cpl));
  cpu.set_cpl(cpl);
}

void drop_inner_segments(Cpu& cpu) {
  for (const unsigned i : {kEs, kDs, kFs, kGs}) {
    Segment& s = cpu.state.segments[i];
    const bool conforming =
        (s.attributes & (seg::kCode | seg::kConforming)) == (seg::kCode | seg::kConforming);
    const bool unusable = s.attributes == 0;
    if (unusable) {
      s.selector = 0;  // its base, which 64-bit code may have set, stays
    } else if (s.dpl() < cpu.state.cpl && !conforming) {
      s = null_segment(0);
    }
  }
}

namespace {

// The far pointer operand.
bool target_of(Instruction& in, uint16_t& selector, uint64_t& offset) {
  if (in.form(sensitive_form::kPointer)) {
    selector = static_cast<uint16_t>(in.op.disp);
    offset = in.op.imm & size_mask(in.op.size);
    return true;
  }
  uint64_t value = 0;
  if (!load_operand(in, 0, in.op.size, offset) || !load_operand(in, in.op.size, 2, value))
    return false;
  selector = static_cast<uint16_t>(value);
  return true;
}

bool check_target(Cpu& cpu, uint16_t selector, uint64_t offset, Descriptor& d) {
  if (is_null(selector)) return general_protection(cpu);
  if (!need_descriptor(cpu, selector, kGeneralProtection, 0, d)) return false;
  const unsigned cpl = cpu.state.cpl;
  const bool level = d.conforming() ? d.dpl() <= cpl : d.dpl() == cpl && (selector & 3u) <= cpl;
  if (!d.code() || !level || !valid_size(cpu, d))
    return general_protection(cpu, error_of(selector));
  if (!d.present()) return fail(cpu, Fault::with_error(kSegmentNotPresent, error_of(selector)));
  return ip_fits(cpu, d, offset) || general_protection(cpu);
}

bool transfer(Instruction& in, bool call) {
  Cpu& cpu = in.cpu;
  uint16_t selector = 0;
  uint64_t offset = 0;
  if (!target_of(in, selector, offset)) return false;
  const bool real = cpu.real_mode();
  Descriptor d;
  if (real && offset > cpu.state.segments[kCs].limit) return general_protection(cpu);
  if (!real && !check_target(cpu, selector, offset, d)) return false;
  if (call) {
    Stack stack = current_stack(cpu);
    const uint64_t frame[] = {cpu.state.segments[kCs].selector, in.next};
    if (!real && !mark_descriptor(cpu, d, seg::kAccessed)) return false;
    if (!stack_push(cpu, stack, in.op.size, frame)) return false;
    set_stack_pointer(cpu, stack);
  } else if (!real && !mark_descriptor(cpu, d, seg::kAccessed)) {
    return false;
  }
  if (real) {
    set_real_segment(cpu, kCs, selector);
  } else {
    set_code_segment(cpu, d, selector, cpu.state.cpl);
  }
  cpu.mode_changed();
  in.next = offset;
  return true;
}

// RETF to an outer level: the stack pointer and segment lie above the bytes that it releases.
bool return_outward(Instruction& in, Descriptor& d, uint16_t selector, uint64_t rip,
                    uint64_t release) {
  Cpu& cpu = in.cpu;
  const unsigned size = in.op.size;
  const unsigned cpl = selector & 3;
  const Stack inner = current_stack(cpu);
  uint64_t sp = 0;
  uint64_t stack_selector = 0;
  Segment ss;
  if (!stack_load(cpu, inner, 2 * size + release, size, sp) ||
      !stack_load(cpu, inner, 3 * size + release, size, stack_selector) ||
      !check_return_stack(cpu, static_cast<uint16_t>(stack_selector), cpl, d, ss)) {
    return false;
  }
  if (!ip_fits(cpu, d, rip)) return general_protection(cpu);
  if (!mark_descriptor(cpu, d, seg::kAccessed)) return false;
  set_code_segment(cpu, d, selector, cpl);
  cpu.state.segments[kSs] = ss;
  cpu.mode_changed();
  Stack outer = current_stack(cpu);
  outer.sp = (sp + release) & outer.mask;
  set_stack_pointer(cpu, outer);
  drop_inner_segments(cpu);
  in.next = rip;
  return true;
}

}  // namespace

bool jump_far(Instruction& in) { return transfer(in, false); }
bool call_far(Instruction& in) { return transfer(in, true); }

bool return_far(Instruction& in) {
  Cpu& cpu = in.cpu;
  const unsigned size = in.op.size;
  const uint64_t release = in.form(sensitive_form::kImmediate) ? in.op.imm & 0xffff : 0;
  Stack stack = current_stack(cpu);
  uint64_t rip = 0;
  uint64_t wide = 0;
  if (!stack_load(cpu, stack, 0, size, rip) || !stack_load(cpu, stack, size, size, wide))
    return false;
  const auto selector = static_cast<uint16_t>(wide);
  if (cpu.real_mode()) {
    if (rip > cpu.state.segments[kCs].limit) return general_protection(cpu);
    set_real_segment(cpu, kCs, selector);
  } else {
    Descriptor d;
    if (!check_return_segment(cpu, selector, d)) return false;
    if ((selector & 3) > cpu.state.cpl) return return_outward(in, d, selector, rip, release);
    if (!ip_fits(cpu, d, rip)) return general_protection(cpu);
    if (!mark_descriptor(cpu, d, seg::kAccessed)) return false;
    set_code_segment(cpu, d, selector, cpu.state.cpl);
  }
  stack.sp = stack.up(2 * size + release);
  set_stack_pointer(cpu, stack);
  cpu.mode_changed();
  in.next = rip;
  return true;
}

}  // namespace gnomon::vmm::trap

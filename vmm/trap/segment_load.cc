// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/descriptors.h"
#include "vmm/trap/instructions.h"
#include "vmm/trap/stack.h"

// Loads of data and stack segments (SDM vol. 2, MOV and LDS; vol. 3, 5.4 to 5.7).

namespace gnomon::vmm::trap {

void set_real_segment(Cpu& cpu, unsigned reg, uint16_t selector) {
  Segment& s = cpu.state.segments[reg];
  // The limit stays what it was ("unreal" mode); a segment that could not be used becomes an
  // ordinary one.
  const uint32_t limit = s.attributes == 0 ? 0xffff : s.limit;
  s = {selector, seg::kP | seg::kS | seg::kWritable | seg::kAccessed, limit,
       uint64_t{selector} << 4};
}

bool check_stack_segment(Cpu& cpu, uint16_t selector, unsigned cpl, uint8_t vector, uint32_t ext,
                         Descriptor& d) {
  const Fault wrong = Fault::with_error(vector, error_of(selector) | ext);
  if (!need_descriptor(cpu, selector, vector, ext, d)) return false;
  if ((selector & 3u) != cpl || !d.writable() || d.dpl() != cpl) return fail(cpu, wrong);
  if (!d.present()) return fail(cpu, Fault::with_error(kStackFault, error_of(selector) | ext));
  return true;
}

namespace {

bool load_stack_segment(Cpu& cpu, uint16_t selector) {
  const unsigned cpl = cpu.state.cpl;
  if (is_null(selector)) {
    if (!cpu.code64() || cpl == 3 || (selector & 3u) != cpl) return general_protection(cpu);
    cpu.state.segments[kSs] = null_segment(selector);
    return true;
  }
  Descriptor d;
  if (!check_stack_segment(cpu, selector, cpl, kGeneralProtection, 0, d)) return false;
  if (!mark_descriptor(cpu, d, seg::kAccessed)) return false;
  cpu.state.segments[kSs] = d.segment(selector);
  return true;
}

bool load_data_segment(Cpu& cpu, unsigned reg, uint16_t selector) {
  if (is_null(selector)) {
    cpu.state.segments[reg] = null_segment(selector);
    return true;
  }
  Descriptor d;
  if (!need_descriptor(cpu, selector, kGeneralProtection, 0, d)) return false;
  if (d.system() || !d.readable()) return general_protection(cpu, error_of(selector));
  const unsigned rpl = selector & 3;
  if (!d.conforming() && (rpl > d.dpl() || cpu.state.cpl > d.dpl())) {
    return general_protection(cpu, error_of(selector));
  }
  if (!d.present()) return fail(cpu, Fault::with_error(kSegmentNotPresent, error_of(selector)));
  if (!mark_descriptor(cpu, d, seg::kAccessed)) return false;
  cpu.state.segments[reg] = d.segment(selector);
  return true;
}

// After a load of SS, interrupts and debug traps wait for one instruction more.
void loaded(Instruction& in, unsigned reg) {
  if (reg != kSs) return;
  in.cpu.state.interrupt_shadow = true;
  in.no_step = true;
}

uint16_t visible_cs(const Instruction& in) {
  const uint16_t cs = in.cpu.state.segments[kCs].selector;
  // Hardware at level 3 shows level 3.
  return in.policy.naive && in.cpu.protected_mode() ? static_cast<uint16_t>(cs | 3) : cs;
}

uint16_t visible_selector(const Instruction& in, unsigned reg) {
  return reg == kCs ? visible_cs(in) : in.cpu.state.segments[reg].selector;
}

}  // namespace

bool load_segment(Cpu& cpu, unsigned reg, uint16_t selector) {
  if (reg == kCs || reg >= kSegmentRegisters) return undefined(cpu);
  bool done = true;
  if (cpu.real_mode()) {
    set_real_segment(cpu, reg, selector);
  } else {
    done = reg == kSs ? load_stack_segment(cpu, selector) : load_data_segment(cpu, reg, selector);
  }
  if (done) cpu.mode_changed();
  return done;
}

bool move_segment(Instruction& in) {
  Cpu& cpu = in.cpu;
  if (in.form(sensitive_form::kFrom)) {
    const unsigned reg = in.in_memory() ? in.op.r1 : in.op.r2;
    return store_rm16(in, in.op.r1, visible_selector(in, reg));
  }
  uint64_t selector = 0;
  if (!load_rm(in, in.op.r2, 2, selector)) return false;
  if (!load_segment(cpu, in.op.r1, static_cast<uint16_t>(selector))) return false;
  loaded(in, in.op.r1);
  return true;
}

bool push_segment(Instruction& in) {
  const uint64_t value = visible_selector(in, in.op.r1);
  // Processors of today write 16 bits and leave the rest of the slot alone.
  Stack stack = current_stack(in.cpu);
  stack.sp = stack.down(in.op.size);
  if (!stack_may_hold(stack, stack.sp, 2)) return fail(in.cpu, Fault::with_error(kStackFault, 0));
  if (!in.cpu.memory.store_bytes(stack_linear(in.cpu, stack, stack.sp), &value, 2, stack.by)) {
    return memory_failed(in.cpu, true);
  }
  set_stack_pointer(in.cpu, stack);
  return true;
}

bool pop_segment(Instruction& in) {
  Cpu& cpu = in.cpu;
  Stack stack = current_stack(cpu);
  uint64_t selector = 0;
  if (!stack_load(cpu, stack, 0, in.op.size, selector)) return false;
  stack.sp = stack.up(in.op.size);
  if (!load_segment(cpu, in.op.r1, static_cast<uint16_t>(selector))) return false;
  // By the width of the stack as it was.
  set_stack_pointer(cpu, stack);
  loaded(in, in.op.r1);
  return true;
}

bool load_far_pointer(Instruction& in) {
  unsigned reg = kDs;
  switch (in.op.code) {
    case ZYDIS_MNEMONIC_LES: reg = kEs; break;
    case ZYDIS_MNEMONIC_LFS: reg = kFs; break;
    case ZYDIS_MNEMONIC_LGS: reg = kGs; break;
    case ZYDIS_MNEMONIC_LSS: reg = kSs; break;
    default: break;
  }
  if (!in.in_memory()) return undefined(in.cpu);
  uint64_t offset = 0;
  uint64_t selector = 0;
  if (!load_operand(in, 0, in.op.size, offset) || !load_operand(in, in.op.size, 2, selector) ||
      !load_segment(in.cpu, reg, static_cast<uint16_t>(selector))) {
    return false;
  }
  set_register(in.cpu, in.op.r1, in.op.size, offset);
  return true;
}

}  // namespace gnomon::vmm::trap

// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/interrupt.h"

#include <array>

#include "vmm/trap/code_segment.h"
#include "vmm/trap/instructions.h"
#include "vmm/trap/stack.h"
#include "vmm/trap/task_state.h"

// Entry into a handler through the interrupt table (SDM vol. 2, INT n; vol. 3, chapter 6). Task
// gates raise #GP.

namespace gnomon::vmm::trap {
namespace {

constexpr uint64_t kClearedOnEntry = flag::kTF | flag::kNT | flag::kRF | flag::kVM;

struct Gate {
  uint64_t offset = 0;
  uint16_t selector = 0;
  unsigned type = 0, dpl = 0, ist = 0;
  bool present = false;
  bool interrupt() const { return (type & 1) == 0; }
  unsigned size(bool long_mode) const { return long_mode ? 8 : (type & 8) != 0 ? 4 : 2; }
};

bool enter_real(Cpu& cpu, const Entry& entry) {
  const unsigned at = 4u * entry.vector;
  if (at + 3 > cpu.state.idtr.limit) return general_protection(cpu);
  uint64_t pointer = 0;
  if (!read(cpu, cpu.state.idtr.base + at, 4, pointer, Privilege::kImplicit)) return false;
  Stack stack = current_stack(cpu);
  const uint64_t frame[] = {entry.saved_flags, cpu.state.segments[kCs].selector, entry.return_rip};
  if (!stack_push(cpu, stack, 2, frame)) return false;
  set_stack_pointer(cpu, stack);
  cpu.set_rflags(cpu.rflags() & ~(flag::kIF | flag::kTF | flag::kAC | flag::kRF));
  set_real_segment(cpu, kCs, static_cast<uint16_t>(pointer >> 16));
  cpu.mode_changed();
  cpu.rip = pointer & 0xffff;
  return true;
}

bool read_gate(Cpu& cpu, const Entry& entry, uint32_t ext, Gate& gate) {
  const bool wide = cpu.long_mode();
  const unsigned bytes = wide ? 16 : 8;
  const unsigned at = bytes * entry.vector;
  const uint32_t error = entry.vector * 8u + 2 + ext;
  if (at + bytes - 1 > cpu.state.idtr.limit) return general_protection(cpu, error);
  uint64_t low = 0;
  uint64_t high = 0;
  const uint64_t linear = cpu.state.idtr.base + at;
  if (!read(cpu, linear, 8, low, Privilege::kImplicit)) return false;
  if (wide && !read(cpu, linear + 8, 8, high, Privilege::kImplicit)) return false;
  gate.type = static_cast<unsigned>(low >> 40 & 31);
  gate.dpl = static_cast<unsigned>(low >> 45 & 3);
  gate.present = (low >> 47 & 1) != 0;
  gate.selector = static_cast<uint16_t>(low >> 16);
  gate.offset = low & 0xffff;
  const bool large = gate.type == system_type::kInterrupt32 || gate.type == system_type::kTrap32;
  const bool small = gate.type == system_type::kInterrupt16 || gate.type == system_type::kTrap16;
  if (large) gate.offset |= low >> 32 & 0xffff'0000;
  if (wide) {
    gate.offset |= high << 32;
    gate.ist = static_cast<unsigned>(low >> 32 & 7);
  }
  if (!large && (wide || !small)) return general_protection(cpu, error);
  if (entry.software && gate.dpl < cpu.state.cpl) return general_protection(cpu, error);
  if (!gate.present) return fail(cpu, Fault::with_error(kSegmentNotPresent, error));
  return true;
}

bool read_handler(Cpu& cpu, const Gate& gate, uint32_t ext, Descriptor& d) {
  if (is_null(gate.selector)) return general_protection(cpu, ext);
  const uint32_t error = error_of(gate.selector) | ext;
  if (!need_descriptor(cpu, gate.selector, kGeneralProtection, ext, d)) return false;
  if (!d.code() || d.dpl() > cpu.state.cpl) return general_protection(cpu, error);
  if (cpu.long_mode() && (!d.code64() || !valid_size(cpu, d)))
    return general_protection(cpu, error);
  if (!d.present()) return fail(cpu, Fault::with_error(kSegmentNotPresent, error));
  return true;
}

// The stack that the handler starts on.
bool choose_stack(Cpu& cpu, const Gate& gate, unsigned cpl, uint32_t ext, Stack& stack) {
  const bool inward = cpl < cpu.state.cpl;
  if (cpu.long_mode()) {
    // From compatibility mode, too, the frame is made in 64-bit mode.
    stack = current_stack(cpu);
    stack.checked = false;
    stack.mask = ~uint64_t{0};
    stack.sp = cpu.gpr[kRsp];
    stack.by = cpl == 3 ? Privilege::kUser : Privilege::kSupervisor;
    if (gate.ist != 0) {
      if (!task_interrupt_stack(cpu, gate.ist, ext, stack.sp)) return false;
    } else if (inward && !task_stack64(cpu, cpl, ext, stack.sp)) {
      return false;
    }
    if (!canonical(cpu, stack.sp)) return fail(cpu, Fault::with_error(kStackFault, ext));
    stack.sp &= ~uint64_t{15};
    if (inward) stack.ss = null_segment(static_cast<uint16_t>(cpl));
    return true;
  }
  if (!inward) {
    stack = current_stack(cpu);
    return true;
  }
  uint16_t selector = 0;
  uint64_t sp = 0;
  if (!task_stack(cpu, cpl, ext, selector, sp)) return false;
  if (is_null(selector)) return fail(cpu, Fault::with_error(kInvalidTss, ext));
  Descriptor d;
  if (!check_stack_segment(cpu, selector, cpl, kInvalidTss, ext, d) ||
      !mark_descriptor(cpu, d, seg::kAccessed)) {
    return false;
  }
  stack = segment_stack(d.segment(selector), sp, cpl);
  return true;
}

bool enter_protected(Cpu& cpu, const Entry& entry) {
  const uint32_t ext = entry.software ? 0 : 1;
  Gate gate;
  Descriptor d;
  if (!read_gate(cpu, entry, ext, gate) || !read_handler(cpu, gate, ext, d)) return false;
  const unsigned cpl = d.conforming() ? cpu.state.cpl : d.dpl();
  const bool inward = cpl < cpu.state.cpl;
  Stack stack;
  if (!choose_stack(cpu, gate, cpl, ext, stack)) return false;
  if (!ip_fits(cpu, d, gate.offset)) return general_protection(cpu, ext);
  if (!mark_descriptor(cpu, d, seg::kAccessed)) return false;

  std::array<uint64_t, 6> frame;
  unsigned count = 0;
  if (inward || cpu.long_mode()) {
    frame[count++] = cpu.state.segments[kSs].selector;
    frame[count++] = cpu.gpr[kRsp];
  }
  frame[count++] = entry.saved_flags;
  frame[count++] = cpu.state.segments[kCs].selector;
  frame[count++] = entry.return_rip;
  if (entry.has_error) frame[count++] = entry.error;
  const uint32_t stack_error = inward && !cpu.long_mode() ? error_of(stack.ss.selector) | ext : ext;
  if (!stack_push(cpu, stack, gate.size(cpu.long_mode()), {frame.data(), count}, stack_error))
    return false;

  if (inward) cpu.state.segments[kSs] = stack.ss;
  set_stack_pointer(cpu, stack);
  set_code_segment(cpu, d, gate.selector, cpl);
  uint64_t flags = cpu.rflags() & ~kClearedOnEntry;
  if (gate.interrupt()) flags &= ~flag::kIF;
  cpu.set_rflags(flags);
  cpu.mode_changed();
  cpu.rip = gate.offset;
  return true;
}

}  // namespace

bool enter_handler(Cpu& cpu, const Entry& entry) {
  return cpu.real_mode() ? enter_real(cpu, entry) : enter_protected(cpu, entry);
}

bool software_interrupt(Instruction& in) {
  Cpu& cpu = in.cpu;
  Entry entry;
  entry.software = true;
  switch (in.op.code) {
    case ZYDIS_MNEMONIC_INT3: entry.vector = kBreakpoint; break;
    case ZYDIS_MNEMONIC_INT1:
      entry.vector = kDebug;
      entry.software = false;
      break;
    case ZYDIS_MNEMONIC_INTO:
      if (!cpu.flags.of()) return true;
      entry.vector = kOverflow;
      break;
    default: entry.vector = static_cast<uint8_t>(in.op.imm); break;
  }
  entry.return_rip = in.next;
  entry.saved_flags = cpu.rflags() & ~flag::kRF;
  if (!enter_handler(cpu, entry)) return false;
  in.next = cpu.rip;
  in.no_step = true;
  return true;
}

}  // namespace gnomon::vmm::trap

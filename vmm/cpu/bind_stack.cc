// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/stack.h"

// PUSH, POP, PUSHA, POPA, ENTER, LEAVE. Nothing changes if one of them faults: those that touch
// several places look at all of them first.

namespace gnomon::vmm {
namespace {

template <class T, class S, bool checked>
void push_register(Cpu& cpu, const Op* op) {
  if (!push<T, S, checked>(cpu, op, cpu.reg<T>(op->r1))) return;
  return next(cpu, op);
}

template <class T, class S, bool checked>
void push_immediate(Cpu& cpu, const Op* op) {
  if (!push<T, S, checked>(cpu, op, static_cast<T>(op->imm))) return;
  return next(cpu, op);
}

template <class T, class S, bool checked>
void push_segment(Cpu& cpu, const Op* op) {
  if (!push<T, S, checked>(cpu, op, T{cpu.state.segments[op->r1].selector})) return;
  return next(cpu, op);
}

template <class T, class S, bool checked>
void push_memory(Cpu& cpu, const Op* op) {
  T value;
  if (!cpu.memory.load(cpu.linear_of(op), value)) return memory_fault(cpu, op);
  if (!push<T, S, checked>(cpu, op, value)) return;
  return next(cpu, op);
}

template <class T, class S, bool checked>
void pop_register(Cpu& cpu, const Op* op) {
  const S at = stack_pointer<S>(cpu);
  T value;
  if (!peek<T, S, checked>(cpu, op, at, value)) return;
  set_stack_pointer<S>(cpu, at + sizeof(T));
  cpu.set_reg<T>(op->r1, value);  // last: POP rSP keeps what was popped
  return next(cpu, op);
}

// An address that is based on rSP is computed after rSP has moved.
template <class T, class S, bool checked>
void pop_memory(Cpu& cpu, const Op* op) {
  const uint64_t before = cpu.gpr[kRsp];
  T value;
  if (!peek<T, S, checked>(cpu, op, static_cast<S>(before), value)) return;
  set_stack_pointer<S>(cpu, before + sizeof(T));
  const uint64_t offset = cpu.offset_of(op);
  if (!may_access(cpu, op->segment, offset, sizeof(T), true)) [[unlikely]] {
    cpu.gpr[kRsp] = before;
    return fault(cpu, op, segment_fault(op->segment));
  }
  if (!cpu.memory.store(cpu.linear(op->segment, offset), value)) [[unlikely]] {
    cpu.gpr[kRsp] = before;
    return memory_fault(cpu, op);
  }
  return next(cpu, op);
}

// Could `count` pushes from `top` down all be made?
template <class T, class S, bool checked>
bool can_push(Cpu& cpu, const Op* op, S top, unsigned count) {
  for (unsigned i = 1; i <= count; ++i) {
    const S at = static_cast<S>(top - i * sizeof(T));
    if (!stack_allows<T, S, checked>(cpu, op, at, sizeof(T), true)) return false;
    if (!cpu.memory.probe_store(stack_linear<S>(cpu, at), sizeof(T), cpu.memory.privilege())) {
      memory_fault(cpu, op, true);
      return false;
    }
  }
  return true;
}

template <class T, class S, bool checked>
void push_all(Cpu& cpu, const Op* op) {
  const S top = stack_pointer<S>(cpu);
  if (!can_push<T, S, checked>(cpu, op, top, 8)) return;
  for (unsigned i = 0; i < 8; ++i) {
    const S at = static_cast<S>(top - (i + 1) * sizeof(T));
    if (!push_store<T, S, checked>(cpu, op, at, static_cast<T>(cpu.gpr[i]))) return;
  }
  set_stack_pointer<S>(cpu, top - 8 * sizeof(T));
  return next(cpu, op);
}

template <class T, class S, bool checked>
void pop_all(Cpu& cpu, const Op* op) {
  const S top = stack_pointer<S>(cpu);
  T values[8];
  for (unsigned i = 0; i < 8; ++i) {
    if (i == kRsp) continue;  // its slot is skipped, unread
    T value;
    const S at = static_cast<S>(top + (7 - i) * sizeof(T));
    if (!peek<T, S, checked>(cpu, op, at, value)) return;
    values[i] = value;
  }
  for (unsigned i = 0; i < 8; ++i) {
    if (i != kRsp) cpu.set_reg<T>(static_cast<uint8_t>(8 * i), values[i]);
  }
  set_stack_pointer<S>(cpu, top + 8 * sizeof(T));
  return next(cpu, op);
}

// ENTER: imm is the size of the frame, r1 the nesting level (SDM vol. 2, ENTER).
template <class T, class S, bool checked>
void enter(Cpu& cpu, const Op* op) {
  const unsigned level = op->r1;
  const S top = stack_pointer<S>(cpu);
  const S frame = static_cast<S>(top - sizeof(T));
  const unsigned pushes = level == 0 ? 1 : level + 1;
  const S final_top = static_cast<S>(top - pushes * sizeof(T) - op->imm);
  // The stack must be writable where the pointer ends up, too.
  if (!can_push<T, S, checked>(cpu, op, top, pushes) ||
      !can_push<T, S, checked>(cpu, op, static_cast<S>(final_top + sizeof(T)), 1)) {
    return;
  }
  const S base = static_cast<S>(cpu.gpr[kRbp]);
  T value;
  for (unsigned i = 1; i < level; ++i) {
    if (!peek<T, S, checked>(cpu, op, static_cast<S>(base - i * sizeof(T)), value)) return;
  }
  S at = frame;
  if (!push_store<T, S, checked>(cpu, op, at, static_cast<T>(cpu.gpr[kRbp]))) return;
  for (unsigned i = 1; i < level; ++i) {
    if (!peek<T, S, checked>(cpu, op, static_cast<S>(base - i * sizeof(T)), value)) return;
    at = static_cast<S>(at - sizeof(T));
    if (!push_store<T, S, checked>(cpu, op, at, value)) return;
  }
  if (level > 0) {
    at = static_cast<S>(at - sizeof(T));
    if (!push_store<T, S, checked>(cpu, op, at, static_cast<T>(frame))) return;
  }
  cpu.set_reg<T>(8 * kRbp, static_cast<T>(frame));
  set_stack_pointer<S>(cpu, final_top);
  return next(cpu, op);
}

template <class T, class S, bool checked>
void leave_frame(Cpu& cpu, const Op* op) {
  const S at = static_cast<S>(cpu.gpr[kRbp]);
  T value;
  if (!peek<T, S, checked>(cpu, op, at, value)) return;
  set_stack_pointer<S>(cpu, at + sizeof(T));
  cpu.set_reg<T>(8 * kRbp, value);
  return next(cpu, op);
}

bool is_segment(const Decoded& d) {
  return d.is_register(0) &&
         ZydisRegisterGetClass(d.operand(0).reg.value) == ZYDIS_REGCLASS_SEGMENT;
}
unsigned operand_bytes(const Decoded& d) { return d.i.operand_width / 8; }

// Zydis's numbers of segment registers are those of the encoding.
bool bind_push(const Decoded& d, Op& op) {
  if (is_segment(d)) {
    if (op.r1 == kCs) return bind_sensitive(d, op);  // it shows the privilege level
    return by_stack(d, operand_bytes(d), op, []<class T, class S, bool checked>() -> Handler {
      return push_segment<T, S, checked>;
    });
  }
  return by_stack(d, operand_bytes(d), op, [&]<class T, class S, bool checked>() -> Handler {
    if (d.is_memory(0)) return push_memory<T, S, checked>;
    return d.is_immediate(0) ? push_immediate<T, S, checked> : push_register<T, S, checked>;
  });
}

bool bind_pop(const Decoded& d, Op& op) {
  if (is_segment(d)) return bind_sensitive(d, op);
  op.flags &= static_cast<uint8_t>(~op_flag::kMemory);  // checked when rSP has moved
  return by_stack(d, operand_bytes(d), op, [&]<class T, class S, bool checked>() -> Handler {
    return d.is_memory(0) ? pop_memory<T, S, checked> : pop_register<T, S, checked>;
  });
}

bool bind_push_all(const Decoded& d, Op& op) {
  return by_stack(d, operand_bytes(d), op, []<class T, class S, bool checked>() -> Handler {
    return push_all<T, S, checked>;
  });
}
bool bind_pop_all(const Decoded& d, Op& op) {
  return by_stack(d, operand_bytes(d), op, []<class T, class S, bool checked>() -> Handler {
    return pop_all<T, S, checked>;
  });
}
bool bind_enter(const Decoded& d, Op& op) {
  op.imm = d.operand(0).imm.value.u & 0xffff;
  op.r1 = static_cast<uint8_t>(d.operand(1).imm.value.u & 31);
  return by_stack(d, operand_bytes(d), op,
                  []<class T, class S, bool checked>() -> Handler { return enter<T, S, checked>; });
}
bool bind_leave(const Decoded& d, Op& op) {
  return by_stack(d, operand_bytes(d), op, []<class T, class S, bool checked>() -> Handler {
    return leave_frame<T, S, checked>;
  });
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_PUSH, bind_push},      {ZYDIS_MNEMONIC_POP, bind_pop},
    {ZYDIS_MNEMONIC_PUSHA, bind_push_all}, {ZYDIS_MNEMONIC_PUSHAD, bind_push_all},
    {ZYDIS_MNEMONIC_POPA, bind_pop_all},   {ZYDIS_MNEMONIC_POPAD, bind_pop_all},
    {ZYDIS_MNEMONIC_ENTER, bind_enter},    {ZYDIS_MNEMONIC_LEAVE, bind_leave},
};

}  // namespace

absl::Span<const Binding> stack_bindings() { return kBindings; }

}  // namespace gnomon::vmm

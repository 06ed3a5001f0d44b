// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/chain.h"
#include "vmm/cpu/stack.h"

// Near JMP, CALL, RET, Jcc, JCXZ, LOOP. Far ones go to the VMM.

namespace gnomon::vmm {
namespace {

// May the processor go to `rip`? (It is as wide as the operand.) W: the operand's width; checked:
// there are limits.
template <class W, bool checked>
bool allowed(const Cpu& cpu, uint64_t rip) {
  if constexpr (sizeof(W) == 8) {
    // Where it is now is canonical: most branches go to somewhere near that, or at least agree in
    // the upper bits.
    if ((rip ^ cpu.gpr[kBlockStart]) >> 46 == 0) [[likely]]
      return true;
    const unsigned shift = (cpu.controls().cr4 & cr4::kLA57) != 0 ? 64 - 57 : 64 - 48;
    return static_cast<uint64_t>(static_cast<int64_t>(rip << shift) >> shift) == rip;
  }
  return !checked || rip <= cpu.state.segments[kCs].limit;
}

// A relative branch whose target may be forbidden, or is cut to 16 bits: it does not go by way of
// links.
template <class W, bool checked>
constexpr bool kPlain = !checked && sizeof(W) > 2;

template <class W>
uint64_t target_of(const Cpu& cpu, const Op* op) {
  return static_cast<W>(cpu.gpr[kBlockStart] + op->imm);
}

template <class W, bool checked>
void jump(Cpu& cpu, const Op* op) {
  const uint64_t target = target_of<W>(cpu, op);
  if (!allowed<W, checked>(cpu, target)) [[unlikely]]
    return fault(cpu, op, Fault::gp());
  if constexpr (kPlain<W, checked>) return take(cpu, op);
  return leave(cpu, op, target);
}

template <class W, bool checked>
void jump_register(Cpu& cpu, const Op* op) {
  const W target = cpu.reg<W>(op->r1);
  if (!allowed<W, checked>(cpu, target)) [[unlikely]]
    return fault(cpu, op, Fault::gp());
  return leave(cpu, op, target);
}

template <class W, bool checked>
void jump_memory(Cpu& cpu, const Op* op) {
  W target;
  if (!cpu.memory.load(cpu.linear_of(op), target)) return memory_fault(cpu, op);
  if (!allowed<W, checked>(cpu, target)) [[unlikely]]
    return fault(cpu, op, Fault::gp());
  return leave(cpu, op, target);
}

// Calls. W is also the width of what is pushed.
template <class W, class S, bool checked>
void call(Cpu& cpu, const Op* op) {
  const uint64_t target = target_of<W>(cpu, op);
  if (!allowed<W, checked>(cpu, target)) [[unlikely]]
    return fault(cpu, op, Fault::gp());
  if (!push<W, S, checked>(cpu, op, static_cast<W>(rip_after(cpu, op)))) return;
  if constexpr (kPlain<W, checked>) return take(cpu, op);
  return leave(cpu, op, target);
}

template <class W, class S, bool checked>
void call_register(Cpu& cpu, const Op* op) {
  const W target = cpu.reg<W>(op->r1);
  if (!allowed<W, checked>(cpu, target)) [[unlikely]]
    return fault(cpu, op, Fault::gp());
  if (!push<W, S, checked>(cpu, op, static_cast<W>(rip_after(cpu, op)))) return;
  return leave(cpu, op, target);
}

template <class W, class S, bool checked>
void call_memory(Cpu& cpu, const Op* op) {
  W target;
  if (!cpu.memory.load(cpu.linear_of(op), target)) return memory_fault(cpu, op);
  if (!allowed<W, checked>(cpu, target)) [[unlikely]]
    return fault(cpu, op, Fault::gp());
  if (!push<W, S, checked>(cpu, op, static_cast<W>(rip_after(cpu, op)))) return;
  return leave(cpu, op, target);
}

template <class W, class S, bool checked>
void ret(Cpu& cpu, const Op* op) {
  const S at = stack_pointer<S>(cpu);
  W target;
  if (!peek<W, S, checked>(cpu, op, at, target)) return;
  if (!allowed<W, checked>(cpu, target)) [[unlikely]]
    return fault(cpu, op, Fault::gp());
  set_stack_pointer<S>(cpu, at + sizeof(W) + op->imm);
  return leave(cpu, op, target);
}

// Conditional branches: C says whether one is taken, and changes what it changes.
template <class C, class W, bool checked>
void branch(Cpu& cpu, const Op* op) {
  if (!C::taken(cpu, op)) return next(cpu, op);
  if constexpr (kPlain<W, checked> && sizeof(W) == 4) {
    C::commit(cpu, op);
    return take(cpu, op);
  }
  const uint64_t target = target_of<W>(cpu, op);
  if (!allowed<W, checked>(cpu, target)) [[unlikely]]
    return fault(cpu, op, Fault::gp());
  C::commit(cpu, op);
  if constexpr (kPlain<W, checked>) return take(cpu, op);
  return leave(cpu, op, target);
}

template <unsigned code>
struct If {
  static bool taken(const Cpu& cpu, const Op*) { return condition<code>(cpu.flags); }
  static void commit(Cpu&, const Op*) {}
};
// `address_mask` is the width of the counter.
struct IfCounterZero {
  static bool taken(const Cpu& cpu, const Op* op) {
    return (cpu.gpr[kRcx] & op->address_mask) == 0;
  }
  static void commit(Cpu&, const Op*) {}
};

void count_down(Cpu& cpu, const Op* op) {
  const uint64_t mask = op->address_mask;
  const uint64_t count = (cpu.gpr[kRcx] - 1) & mask;
  cpu.gpr[kRcx] = mask == 0xffff ? (cpu.gpr[kRcx] & ~mask) | count : count;
}
// LOOP: while the counter is not 1, and for LOOPE and LOOPNE ZF is as it should be. It counts in
// any case.
enum class Zf { kAny, kSet, kClear };
template <Zf zf, class W, bool checked>
void loop(Cpu& cpu, const Op* op) {
  bool taken = (cpu.gpr[kRcx] & op->address_mask) != 1;
  if constexpr (zf == Zf::kSet) taken = taken && cpu.flags.zf();
  if constexpr (zf == Zf::kClear) taken = taken && !cpu.flags.zf();
  if (!taken) {
    count_down(cpu, op);
    return next(cpu, op);
  }
  const uint64_t target = target_of<W>(cpu, op);
  if (!allowed<W, checked>(cpu, target)) [[unlikely]]
    return fault(cpu, op, Fault::gp());
  count_down(cpu, op);
  if constexpr (kPlain<W, checked>) return take(cpu, op);
  return leave(cpu, op, target);
}

// `choose.operator()<W, checked>()`.
template <class Choose>
bool by_width(const Decoded& d, Op& op, Choose&& choose) {
  op.flags |= op_flag::kEnds;
  op.size = static_cast<uint8_t>(d.i.operand_width / 8);
  const bool checked = (d.mode & code_mode::kFlat) == 0;
  if (op.size == 8) {
    op.run = choose.template operator()<uint64_t, false>();
  } else if (op.size == 4) {
    op.run = checked ? choose.template operator()<uint32_t, true>()
                     : choose.template operator()<uint32_t, false>();
  } else if (op.size == 2) {
    op.run = checked ? choose.template operator()<uint16_t, true>()
                     : choose.template operator()<uint16_t, false>();
  } else {
    return false;
  }
  return true;
}

bool is_far(const Decoded& d) { return d.i.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR; }

bool bind_jump(const Decoded& d, Op& op) {
  if (is_far(d)) return bind_sensitive(d, op);
  return by_width(d, op, [&]<class W, bool checked>() -> Handler {
    if (d.is_memory(0)) return jump_memory<W, checked>;
    return d.is_register(0) ? jump_register<W, checked> : jump<W, checked>;
  });
}

bool bind_call(const Decoded& d, Op& op) {
  if (is_far(d)) return bind_sensitive(d, op);
  op.flags |= op_flag::kEnds;
  return by_stack(d, d.i.operand_width / 8, op, [&]<class W, class S, bool checked>() -> Handler {
    if (d.is_memory(0)) return call_memory<W, S, checked>;
    return d.is_register(0) ? call_register<W, S, checked> : call<W, S, checked>;
  });
}

bool bind_ret(const Decoded& d, Op& op) {
  if (is_far(d)) return bind_sensitive(d, op);
  op.flags |= op_flag::kEnds;
  op.imm &= 0xffff;
  return by_stack(d, d.i.operand_width / 8, op,
                  []<class W, class S, bool checked>() -> Handler { return ret<W, S, checked>; });
}

template <unsigned code>
bool bind_if(const Decoded& d, Op& op) {
  return by_width(d, op,
                  []<class W, bool checked>() -> Handler { return branch<If<code>, W, checked>; });
}
bool bind_counter_zero(const Decoded& d, Op& op) {
  return by_width(
      d, op, []<class W, bool checked>() -> Handler { return branch<IfCounterZero, W, checked>; });
}
template <Zf zf>
bool bind_loop(const Decoded& d, Op& op) {
  return by_width(d, op, []<class W, bool checked>() -> Handler { return loop<zf, W, checked>; });
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_JMP, bind_jump},
    {ZYDIS_MNEMONIC_CALL, bind_call},
    {ZYDIS_MNEMONIC_RET, bind_ret},
    {ZYDIS_MNEMONIC_JO, bind_if<0>},
    {ZYDIS_MNEMONIC_JNO, bind_if<1>},
    {ZYDIS_MNEMONIC_JB, bind_if<2>},
    {ZYDIS_MNEMONIC_JNB, bind_if<3>},
    {ZYDIS_MNEMONIC_JZ, bind_if<4>},
    {ZYDIS_MNEMONIC_JNZ, bind_if<5>},
    {ZYDIS_MNEMONIC_JBE, bind_if<6>},
    {ZYDIS_MNEMONIC_JNBE, bind_if<7>},
    {ZYDIS_MNEMONIC_JS, bind_if<8>},
    {ZYDIS_MNEMONIC_JNS, bind_if<9>},
    {ZYDIS_MNEMONIC_JP, bind_if<10>},
    {ZYDIS_MNEMONIC_JNP, bind_if<11>},
    {ZYDIS_MNEMONIC_JL, bind_if<12>},
    {ZYDIS_MNEMONIC_JNL, bind_if<13>},
    {ZYDIS_MNEMONIC_JLE, bind_if<14>},
    {ZYDIS_MNEMONIC_JNLE, bind_if<15>},
    {ZYDIS_MNEMONIC_JCXZ, bind_counter_zero},
    {ZYDIS_MNEMONIC_JECXZ, bind_counter_zero},
    {ZYDIS_MNEMONIC_JRCXZ, bind_counter_zero},
    {ZYDIS_MNEMONIC_LOOP, bind_loop<Zf::kAny>},
    {ZYDIS_MNEMONIC_LOOPE, bind_loop<Zf::kSet>},
    {ZYDIS_MNEMONIC_LOOPNE, bind_loop<Zf::kClear>},
};

}  // namespace

absl::Span<const Binding> branch_bindings() { return kBindings; }

}  // namespace gnomon::vmm

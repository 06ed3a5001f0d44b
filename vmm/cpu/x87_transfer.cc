// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/x87.h"

// x87: loads, stores, constants, and moves within the stack.

namespace gnomon::vmm::x87 {
namespace {

// Operands whose address the host's instruction needs live in blocks that end before the call of
// the next handler: only then is it a jump.

using namespace host87;

// Of 2, 4, 8 bytes, or 10.
template <class T>
bool load(Cpu& cpu, const Op* op, T& value) {
  return cpu.memory.load(cpu.linear_of(op), value);
}
bool load(Cpu& cpu, const Op* op, Real80& value) {
  Real80 bytes;
  if (!cpu.memory.load_bytes(cpu.linear_of(op), bytes.data(), 10, cpu.memory.privilege()))
    return false;
  value = bytes;
  return true;
}
template <class T>
bool store(Cpu& cpu, const Op* op, const T& value) {
  return cpu.memory.store(cpu.linear_of(op), value);
}
bool store(Cpu& cpu, const Op* op, const Real80& value) {
  const Real80 bytes = value;
  return cpu.memory.store_bytes(cpu.linear_of(op), bytes.data(), 10, cpu.memory.privilege());
}

// A push to a register that is not empty; true if that ends the instruction.
bool overflows(X87State& s) {
  if (empty(s, 7)) [[likely]]
    return false;
  if (stack_fault(s, true)) push(s, kIndefinite);
  return true;
}

template <class F>
void load_memory(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  {
    typename F::Type from;
    if (!load(cpu, op, from)) return memory_fault(cpu, op);
    X87State& s = cpu.state.x87;
    if (!overflows(s)) {
      Real80 value;
      const uint16_t sw = F::run(value, from, s.control);
      // Unlike elsewhere, a denormal operand does not prevent the load: processors push it with the
      // exception pending.
      if ((sw & ~s.control & kInvalid) != 0) {
        settle(s, sw, kC1);
      } else {
        set_codes(s, kC1, 0);
        raise(s, sw & kExceptions);
        push(s, value);
      }
    }
  }
  return done(cpu, op);
}
void load_real80(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  {
    Real80 value;
    if (!load(cpu, op, value)) return memory_fault(cpu, op);
    X87State& s = cpu.state.x87;
    if (!overflows(s)) {
      set_codes(s, kC1, 0);
      push(s, value);
    }
  }
  return done(cpu, op);
}
template <class F>
void load_constant(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  if (!overflows(s)) {
    Real80 value;
    F::run(value, s.control);
    set_codes(s, kC1, 0);
    push(s, value);
  }
  return done(cpu, op);
}
void load_st(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  if (empty(s, op->r1)) [[unlikely]] {
    if (stack_fault(s, false)) push(s, kIndefinite);
  } else if (!overflows(s)) {
    const Real80 value = st(s, op->r1);
    set_codes(s, kC1, 0);
    push(s, value);
  }
  return done(cpu, op);
}

// What is stored for an empty register.
template <class T>
constexpr T kNothing = static_cast<T>(T{1} << (8 * sizeof(T) - 1));
template <>
constexpr Real80 kNothing<Real80> = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
template <class F>
typename F::Type nothing() {
  if constexpr (std::is_same_v<F, StoreSingle>) return 0xffc0'0000;
  if constexpr (std::is_same_v<F, StoreDouble>) return 0xfff8'0000'0000'0000;
  return kNothing<typename F::Type>;
}

template <class F, bool pops>
void store_memory(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  {
    constexpr uint16_t kPrevent = kBefore | kOverflow | kUnderflow;
    X87State& s = cpu.state.x87;
    uint16_t sw = kInvalid | kStack;
    typename F::Type value = nothing<F>();
    const bool underflows = empty(s, 0);
    if (!underflows) [[likely]]
      sw = F::run(value, st(s, 0), s.control);
    const bool stores = (sw & ~s.control & kPrevent) == 0;
    // First the memory: it may fault, and then nothing has happened.
    if (stores) {
      if (!store(cpu, op, value)) return memory_fault(cpu, op);
    } else if (!cpu.memory.probe_store(cpu.linear_of(op), sizeof value, cpu.memory.privilege())) {
      return memory_fault(cpu, op);
    }
    if (underflows) [[unlikely]] {
      stack_fault(s, false);
    } else {
      settle(s, sw, kC1);
    }
    if (pops && stores) pop(s);
  }
  return done(cpu, op);
}
void store_real80(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  {
    X87State& s = cpu.state.x87;
    const bool underflows = empty(s, 0);
    const bool stores = !underflows || (s.control & kInvalid) != 0;
    if (stores) {
      if (!store(cpu, op, underflows ? kIndefinite : st(s, 0))) return memory_fault(cpu, op);
    } else if (!cpu.memory.probe_store(cpu.linear_of(op), 10, cpu.memory.privilege())) {
      return memory_fault(cpu, op);
    }
    set_codes(s, kC1, 0);
    if (underflows) stack_fault(s, false);
    if (stores) pop(s);
  }
  return done(cpu, op);
}
template <bool pops>
void store_st(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  const bool underflows = empty(s, 0);
  set_codes(s, kC1, 0);
  if (!underflows || stack_fault(s, false)) {
    const Real80 value = underflows ? kIndefinite : st(s, 0);
    put(s, op->r1, value);
    if (pops) pop(s);
  }
  return done(cpu, op);
}

void exchange(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  set_codes(s, kC1, 0);
  const bool empty0 = empty(s, 0);
  const bool empty_i = empty(s, op->r1);
  if ((!empty0 && !empty_i) || stack_fault(s, false)) {
    const Real80 a = empty0 ? kIndefinite : st(s, 0);
    const Real80 b = empty_i ? kIndefinite : st(s, op->r1);
    put(s, 0, b);
    put(s, op->r1, a);
  }
  return done(cpu, op);
}
// FCMOVcc; `code` as of CMOVcc.
template <unsigned code>
void move_if(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  const bool moves = condition<code>(cpu.flags);
  if (empty(s, 0) || empty(s, op->r1)) [[unlikely]] {
    if (stack_fault(s, false)) put(s, 0, kIndefinite);
  } else if (moves) {
    st(s, 0) = st(s, op->r1);
  }
  return done(cpu, op);
}

template <bool pops>
void free_st(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  set_codes(s, kC1, 0);
  s.tags &= static_cast<uint8_t>(~(1u << physical(s, op->r1)));
  if (pops) pop(s);
  return done(cpu, op);
}
template <unsigned by>
void turn(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  set_codes(s, kC1, 0);
  set_top(s, s.top() + by);
  return done(cpu, op);
}

Handler memory_handler(uint8_t opcode, unsigned reg) {
  static constexpr Handler kRows[4][8] = {
      {load_memory<LoadSingle>, nullptr, store_memory<StoreSingle, false>,
       store_memory<StoreSingle, true>},
      {load_memory<LoadInt32>, nullptr, store_memory<StoreInt32, false>,
       store_memory<StoreInt32, true>, nullptr, load_real80, nullptr, store_real80},
      {load_memory<LoadDouble>, nullptr, store_memory<StoreDouble, false>,
       store_memory<StoreDouble, true>},
      {load_memory<LoadInt16>, nullptr, store_memory<StoreInt16, false>,
       store_memory<StoreInt16, true>, load_memory<LoadDecimal>, load_memory<LoadInt64>,
       store_memory<StoreDecimal, true>, store_memory<StoreInt64, true>},
  };
  return opcode % 2 == 1 ? kRows[(opcode - 0xd9) / 2][reg] : nullptr;
}

}  // namespace

Handler transfer_handler(uint8_t opcode, uint8_t modrm) {
  const unsigned reg = modrm >> 3 & 7;
  if (modrm < 0xc0) return memory_handler(opcode, reg);
  static constexpr Handler kConditions[2][4] = {
      {move_if<2>, move_if<4>, move_if<6>, move_if<10>},
      {move_if<3>, move_if<5>, move_if<7>, move_if<11>},
  };
  static constexpr Handler kConstants[8] = {
      load_constant<One>,      load_constant<Log2Ten>, load_constant<Log2E>, load_constant<Pi>,
      load_constant<Log10Two>, load_constant<LnTwo>,   load_constant<Zero>,  nullptr,
  };
  switch (opcode) {
    case 0xd9:
      if (reg == 0) return load_st;
      if (reg == 1) return exchange;
      if (reg == 3) return store_st<true>;
      if (reg == 5) return kConstants[modrm & 7];
      if (modrm == 0xf6) return turn<7>;
      return modrm == 0xf7 ? turn<1> : nullptr;
    case 0xda: return reg < 4 ? kConditions[0][reg] : nullptr;
    case 0xdb: return reg < 4 ? kConditions[1][reg] : nullptr;
    case 0xdd:
      if (reg == 0) return free_st<false>;
      if (reg == 1) return exchange;
      if (reg == 2) return store_st<false>;
      return reg == 3 ? store_st<true> : nullptr;
    case 0xdf:
      if (reg == 0) return free_st<true>;
      if (reg == 1) return exchange;
      return reg == 2 || reg == 3 ? store_st<true> : nullptr;
    default: return nullptr;
  }
}

}  // namespace gnomon::vmm::x87

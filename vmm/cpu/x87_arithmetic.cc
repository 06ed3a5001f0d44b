// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "vmm/cpu/x87.h"

// x87: the four operations and comparisons.

namespace gnomon::vmm::x87 {
namespace {

// Operands whose address the host's instruction needs live in blocks that end before the call of
// the next handler: only then is it a jump.

using namespace host87;

// Of two registers; the result goes to ST0, or to ST(i).
template <class F, bool to_i, bool pops>
void registers(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  const unsigned to = to_i ? op->r1 : 0;
  const unsigned from = to_i ? 0 : op->r1;
  bool finished;
  if (empty(s, to) || empty(s, from)) [[unlikely]] {
    finished = stack_fault(s, false);
    if (finished) put(s, to, kIndefinite);
  } else {
    Real80 a = st(s, to);
    finished = settle(s, F::run(a, st(s, from), s.control), F::kCodes);
    if (finished) st(s, to) = a;
  }
  if (pops && finished) pop(s);
  return done(cpu, op);
}
template <class F, class T>
void memory(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  {
    T b;
    {
      std::make_unsigned_t<T> bits;
      if (!cpu.memory.load(cpu.linear_of(op), bits)) return memory_fault(cpu, op);
      b = static_cast<T>(bits);
    }
    X87State& s = cpu.state.x87;
    if (empty(s, 0)) [[unlikely]] {
      if (stack_fault(s, false)) put(s, 0, kIndefinite);
    } else {
      Real80 a = st(s, 0);
      if (settle(s, F::run(a, b, s.control), F::kCodes)) st(s, 0) = a;
    }
  }
  return done(cpu, op);
}

// The condition codes of a comparison in which a register was empty.
constexpr uint16_t kUnordered = kC0 | kC2 | kC3;

template <class F, unsigned pops>
void compare(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  bool finished;
  if (empty(s, 0) || empty(s, op->r1)) [[unlikely]] {
    finished = stack_fault(s, false);
    if (finished) set_codes(s, kCodes, kUnordered);
  } else {
    Real80 a = st(s, 0);
    finished = settle(s, F::run(a, st(s, op->r1), s.control), kCodes);
  }
  for (unsigned i = 0; i < pops && finished; ++i) pop(s);
  return done(cpu, op);
}
template <class T, bool pops>
void compare_memory(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  {
    std::make_unsigned_t<T> bits;
    if (!cpu.memory.load(cpu.linear_of(op), bits)) return memory_fault(cpu, op);
    X87State& s = cpu.state.x87;
    bool finished;
    if (empty(s, 0)) [[unlikely]] {
      finished = stack_fault(s, false);
      if (finished) set_codes(s, kCodes, kUnordered);
    } else {
      Real80 a = st(s, 0);
      finished = settle(s, Com::run(a, static_cast<T>(bits), s.control), kCodes);
    }
    if (pops && finished) pop(s);
  }
  return done(cpu, op);
}
// FCOMI and relatives: to ZF, PF and CF.
template <class F, bool pops>
void compare_flags(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  uint16_t codes = kUnordered;
  bool finished;
  if (empty(s, 0) || empty(s, op->r1)) [[unlikely]] {
    finished = stack_fault(s, false);
  } else {
    Real80 a = st(s, 0);
    codes = F::run(a, st(s, op->r1), s.control);
    finished = settle(s, codes, kC1);
  }
  if (finished) {
    cpu.flags.set(((codes & kC3) != 0 ? flag::kZF : 0) | ((codes & kC2) != 0 ? flag::kPF : 0) |
                  ((codes & kC0) != 0 ? flag::kCF : 0));
    if (pops) pop(s);
  }
  return done(cpu, op);
}

using Row = std::array<Handler, 8>;
template <bool to_i, bool pops>
constexpr Row kRegisters = {
    registers<Add, to_i, pops>,
    registers<Mul, to_i, pops>,
    nullptr,
    nullptr,
    // The encodings of subtraction and its reverse change places when the result goes to ST(i).
    registers<std::conditional_t<to_i, Subr, Sub>, to_i, pops>,
    registers<std::conditional_t<to_i, Sub, Subr>, to_i, pops>,
    registers<std::conditional_t<to_i, Divr, Div>, to_i, pops>,
    registers<std::conditional_t<to_i, Div, Divr>, to_i, pops>,
};
template <class T>
constexpr Row kMemory = {
    memory<Add, T>, memory<Mul, T>,  compare_memory<T, false>, compare_memory<T, true>,
    memory<Sub, T>, memory<Subr, T>, memory<Div, T>,           memory<Divr, T>,
};

}  // namespace

Handler arithmetic_handler(uint8_t opcode, uint8_t modrm) {
  const unsigned reg = modrm >> 3 & 7;
  if (modrm < 0xc0) {
    switch (opcode) {
      case 0xd8: return kMemory<uint32_t>[reg];
      case 0xda: return kMemory<int32_t>[reg];
      case 0xdc: return kMemory<uint64_t>[reg];
      case 0xde: return kMemory<int16_t>[reg];
      default: return nullptr;
    }
  }
  switch (opcode) {
    case 0xd8:
      if (reg == 2) return compare<Com, 0>;
      if (reg == 3) return compare<Com, 1>;
      return kRegisters<false, false>[reg];
    case 0xda: return modrm == 0xe9 ? compare<Ucom, 2> : nullptr;
    case 0xdb:
      if (reg == 5) return compare_flags<Ucom, false>;
      return reg == 6 ? compare_flags<Com, false> : nullptr;
    case 0xdc:
      if (reg == 2) return compare<Com, 0>;
      if (reg == 3) return compare<Com, 1>;
      return kRegisters<true, false>[reg];
    case 0xdd:
      if (reg == 4) return compare<Ucom, 0>;
      return reg == 5 ? compare<Ucom, 1> : nullptr;
    case 0xde:
      if (reg == 2) return compare<Com, 1>;
      if (reg == 3) return modrm == 0xd9 ? compare<Com, 2> : nullptr;
      return kRegisters<true, true>[reg];
    case 0xdf:
      if (reg == 5) return compare_flags<Ucom, true>;
      return reg == 6 ? compare_flags<Com, true> : nullptr;
    default: return nullptr;
  }
}

}  // namespace gnomon::vmm::x87

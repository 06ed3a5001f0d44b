// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/x87.h"

// x87: operations on the top of the stack, transcendental ones among them.

namespace gnomon::vmm::x87 {
namespace {

using namespace host87;

template <class F>
void unary(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  if (empty(s, 0)) [[unlikely]] {
    set_codes(s, F::kCodes & kC2, 0);
    if (stack_fault(s, false)) put(s, 0, kIndefinite);
  } else {
    Real80 a = st(s, 0);
    if (settle(s, F::run(a, s.control), F::kCodes)) st(s, 0) = a;
  }
  return done(cpu, op);
}
// FCHS (flips bits of the sign) and FABS (clears it).
template <bool flips>
void sign(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  set_codes(s, kC1, 0);
  if (empty(s, 0)) [[unlikely]] {
    if (stack_fault(s, false)) put(s, 0, kIndefinite);
  } else {
    uint8_t& top = st(s, 0)[9];
    top = flips ? top ^ 0x80 : top & 0x7f;
  }
  return done(cpu, op);
}
void test(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  if (empty(s, 0)) [[unlikely]] {
    if (stack_fault(s, false)) set_codes(s, kCodes, kC0 | kC2 | kC3);
  } else {
    Real80 a = st(s, 0);
    settle(s, Tst::run(a, s.control), kCodes);
  }
  return done(cpu, op);
}
void examine(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  uint16_t codes;
  if (empty(s, 0)) {
    codes = kC3 | kC0 | ((st(s, 0)[9] & 0x80) != 0 ? kC1 : 0);
  } else {
    Real80 a = st(s, 0);
    codes = Xam::run(a, s.control);
  }
  set_codes(s, kCodes, codes);
  return done(cpu, op);
}
// Of ST0 and ST1, to ST0. Without a quotient (the result is not a number) the condition codes for
// its bits stay.
template <class F>
void binary(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  if (empty(s, 0) || empty(s, 1)) [[unlikely]] {
    set_codes(s, F::kCodes & kC2, 0);
    if (stack_fault(s, false)) put(s, 0, kIndefinite);
  } else {
    Real80 a = st(s, 0);
    const uint16_t sw = F::run(a, st(s, 1), s.control);
    const bool number = a[8] != 0xff || (a[9] & 0x7f) != 0x7f;
    const uint16_t codes = !number ? F::kCodes & (kC1 | kC2) : F::kCodes;
    if (settle(s, sw, codes)) st(s, 0) = a;
  }
  return done(cpu, op);
}
// Of ST0 and ST1, to ST1, with a pop.
template <class F>
void popping(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  {
    X87State& s = cpu.state.x87;
    Real80 a = kIndefinite;
    bool finished;
    if (empty(s, 0) || empty(s, 1)) [[unlikely]] {
      finished = stack_fault(s, false);
    } else {
      a = st(s, 0);
      finished = settle(s, F::run(a, st(s, 1), s.control), kC1);
    }
    if (finished) {
      put(s, 1, a);
      pop(s);
    }
  }
  return done(cpu, op);
}
// Of ST0, to ST0 and a push. C2, where it is `partial`: the operand was out of range, and nothing
// happened.
template <class F, bool partial>
void pushing(Cpu& cpu, const Op* op) {
  if (!ready(cpu, op)) return;
  X87State& s = cpu.state.x87;
  if (empty(s, 0) || !empty(s, 7)) [[unlikely]] {
    if (partial) set_codes(s, kC2, 0);
    if (stack_fault(s, !empty(s, 0))) {
      put(s, 0, kIndefinite);
      push(s, kIndefinite);
    }
  } else {
    Real80 a = st(s, 0);
    Real80 pushed;
    const uint16_t sw = F::run(a, pushed, s.control);
    if (settle(s, sw, partial ? kC1 | kC2 : kC1) && (!partial || (sw & kC2) == 0)) {
      st(s, 0) = a;
      push(s, pushed);
    }
  }
  return done(cpu, op);
}

}  // namespace

Handler function_handler(uint8_t opcode, uint8_t modrm) {
  if (opcode != 0xd9 || modrm < 0xe0) return nullptr;
  static constexpr Handler kHandlers[32] = {
      sign<true>,
      sign<false>,
      nullptr,
      nullptr,
      test,
      examine,
      nullptr,
      nullptr,
      nullptr,
      nullptr,
      nullptr,
      nullptr,
      nullptr,
      nullptr,
      nullptr,
      nullptr,
      unary<F2xm1>,
      popping<Yl2x>,
      pushing<Ptan, true>,
      popping<Patan>,
      pushing<Xtract, false>,
      binary<Prem1>,
      nullptr,
      nullptr,
      binary<Prem>,
      popping<Yl2xp1>,
      unary<Sqrt>,
      pushing<Sincos, true>,
      unary<Rndint>,
      binary<Scale>,
      unary<Sin>,
      unary<Cos>,
  };
  return kHandlers[modrm - 0xe0];
}

}  // namespace gnomon::vmm::x87

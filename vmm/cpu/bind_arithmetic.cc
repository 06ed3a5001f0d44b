// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/cpu.h"
#include "vmm/cpu/decode.h"

// ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT.

namespace gnomon::vmm {
namespace {

// What an operation makes of the destination `a` and the source `b`, with flags.
struct Add {
  static constexpr bool kStores = true;
  template <class T>
  static T compute(Cpu& cpu, T a, T b) {
    const T r = static_cast<T>(a + b);
    cpu.flags.add(a, b, r);
    return r;
  }
};
struct Cmp {
  static constexpr bool kStores = false;
  template <class T>
  static T compute(Cpu& cpu, T a, T b) {
    const T r = static_cast<T>(a - b);
    cpu.flags.sub(a, b, r);
    return r;
  }
};

// Where the operands are: r, m and i are register, memory and immediate; destination first.
template <class F, class T>
void rr(Cpu& cpu, const Op* op) {
  const T r = F::template compute<T>(cpu, cpu.reg<T>(op->r1), cpu.reg<T>(op->r2));
  if constexpr (F::kStores) cpu.set_reg<T>(op->r1, r);
  return next(cpu, op);
}
template <class F, class T>
void ri(Cpu& cpu, const Op* op) {
  const T r = F::template compute<T>(cpu, cpu.reg<T>(op->r1), static_cast<T>(op->imm));
  if constexpr (F::kStores) cpu.set_reg<T>(op->r1, r);
  return next(cpu, op);
}
template <class F, class T>
void rm(Cpu& cpu, const Op* op) {
  T b;
  if (!cpu.memory.load(cpu.linear_of(op), b)) return memory_fault(cpu, op);
  const T r = F::template compute<T>(cpu, cpu.reg<T>(op->r1), b);
  if constexpr (F::kStores) cpu.set_reg<T>(op->r1, r);
  return next(cpu, op);
}
// The flags change only if the store succeeds.
template <class F, class T, bool immediate>
void mx(Cpu& cpu, const Op* op) {
  const uint64_t at = cpu.linear_of(op);
  const T b = immediate ? static_cast<T>(op->imm) : cpu.reg<T>(op->r1);
  T a;
  if constexpr (F::kStores) {
    if (!cpu.memory.load_for_store(at, a)) return memory_fault(cpu, op);
    const LazyFlags before = cpu.flags;
    const T r = F::template compute<T>(cpu, a, b);
    if (!cpu.memory.store(at, r)) {
      cpu.flags = before;
      return memory_fault(cpu, op);
    }
  } else {
    if (!cpu.memory.load(at, a)) return memory_fault(cpu, op);
    F::template compute<T>(cpu, a, b);
  }
  return next(cpu, op);
}

template <class F>
bool bind(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    if (d.is_memory(0)) return d.is_immediate(1) ? mx<F, T, true> : mx<F, T, false>;
    if (d.is_memory(1)) return rm<F, T>;
    return d.is_immediate(1) ? ri<F, T> : rr<F, T>;
  });
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_ADD, bind<Add>},
    {ZYDIS_MNEMONIC_CMP, bind<Cmp>},
};

}  // namespace

absl::Span<const Binding> arithmetic_bindings() { return kBindings; }

}  // namespace gnomon::vmm

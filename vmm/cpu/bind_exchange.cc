// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/operands.h"

// XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B: with LOCK or without, as no other processor runs in
// between.

namespace gnomon::vmm {
namespace {

template <class T>
void xchg_register(Cpu& cpu, const Op* op) {
  const T a = cpu.reg<T>(op->r1);
  cpu.set_reg<T>(op->r1, cpu.reg<T>(op->r2));
  cpu.set_reg<T>(op->r2, a);
  return next(cpu, op);
}
template <class T>
void xchg_memory(Cpu& cpu, const Op* op) {
  const uint64_t at = cpu.linear_of(op);
  T a;
  if (!cpu.memory.load_for_store(at, a)) return memory_fault(cpu, op);
  if (!cpu.memory.store(at, cpu.reg<T>(op->r1))) return memory_fault(cpu, op);
  cpu.set_reg<T>(op->r1, a);
  return next(cpu, op);
}
bool bind_xchg(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    return d.is_memory(0) || d.is_memory(1) ? xchg_memory<T> : xchg_register<T>;
  });
}

template <class T>
void xadd_register(Cpu& cpu, const Op* op) {
  const T a = cpu.reg<T>(op->r1);
  const T b = cpu.reg<T>(op->r2);
  const T r = static_cast<T>(a + b);
  cpu.flags.add(a, b, r);
  cpu.set_reg<T>(op->r2, a);
  cpu.set_reg<T>(op->r1, r);  // last: it may be the same register
  return next(cpu, op);
}
template <class T>
void xadd_memory(Cpu& cpu, const Op* op) {
  const uint64_t at = cpu.linear_of(op);
  const T b = cpu.reg<T>(op->r1);
  T a;
  if (!cpu.memory.load_for_store(at, a)) return memory_fault(cpu, op);
  const T r = static_cast<T>(a + b);
  if (!cpu.memory.store(at, r)) return memory_fault(cpu, op);
  cpu.flags.add(a, b, r);
  cpu.set_reg<T>(op->r1, a);
  return next(cpu, op);
}
bool bind_xadd(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    return d.is_memory(0) ? xadd_memory<T> : xadd_register<T>;
  });
}

// Only one of the accumulator and the destination is written (of 32 bits, extended), never both.
template <class T>
void cmpxchg_register(Cpu& cpu, const Op* op) {
  const T a = cpu.reg<T>(8 * kRax);
  const T old = cpu.reg<T>(op->r1);
  if (a == old) {
    cpu.set_reg<T>(op->r1, cpu.reg<T>(op->r2));
  } else {
    cpu.set_reg<T>(8 * kRax, old);
  }
  cpu.flags.sub(a, old, static_cast<T>(a - old));
  return next(cpu, op);
}
template <class T>
void cmpxchg_memory(Cpu& cpu, const Op* op) {
  const uint64_t at = cpu.linear_of(op);
  const T a = cpu.reg<T>(8 * kRax);
  T old;
  if (!cpu.memory.load_for_store(at, old)) return memory_fault(cpu, op);
  if (!cpu.memory.store(at, a == old ? cpu.reg<T>(op->r1) : old)) return memory_fault(cpu, op);
  if (a != old) cpu.set_reg<T>(8 * kRax, old);
  cpu.flags.sub(a, old, static_cast<T>(a - old));
  return next(cpu, op);
}
bool bind_cmpxchg(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    return d.is_memory(0) ? cmpxchg_memory<T> : cmpxchg_register<T>;
  });
}

void set_zf(Cpu& cpu, bool zf) {
  cpu.flags.set((cpu.flags.get() & ~flag::kZF) | (zf ? flag::kZF : 0));
}

void cmpxchg8b(Cpu& cpu, const Op* op) {
  const uint64_t at = cpu.linear_of(op);
  const uint64_t a = cpu.gpr[kRdx] << 32 | cpu.reg<uint32_t>(8 * kRax);
  const uint64_t b = cpu.gpr[kRcx] << 32 | cpu.reg<uint32_t>(8 * kRbx);
  uint64_t old;
  if (!cpu.memory.load_for_store(at, old)) return memory_fault(cpu, op);
  if (!cpu.memory.store(at, a == old ? b : old)) return memory_fault(cpu, op);
  if (a != old) {
    cpu.gpr[kRax] = old & 0xffff'ffff;
    cpu.gpr[kRdx] = old >> 32;
  }
  set_zf(cpu, a == old);
  return next(cpu, op);
}

void cmpxchg16b(Cpu& cpu, const Op* op) {
  const uint64_t at = cpu.linear_of(op);
  if (at % 16 != 0) return fault(cpu, op, Fault::gp());
  uint64_t low;
  uint64_t high;
  if (!cpu.memory.load_for_store(at, low) || !cpu.memory.load_for_store(at + 8, high)) {
    return memory_fault(cpu, op);
  }
  const bool equal = low == cpu.gpr[kRax] && high == cpu.gpr[kRdx];
  const uint64_t to[2] = {equal ? cpu.gpr[kRbx] : low, equal ? cpu.gpr[kRcx] : high};
  if (!cpu.memory.store_bytes(at, to, sizeof to, cpu.memory.privilege()))
    return memory_fault(cpu, op);
  if (!equal) {
    cpu.gpr[kRax] = low;
    cpu.gpr[kRdx] = high;
  }
  set_zf(cpu, equal);
  return next(cpu, op);
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_XCHG, bind_xchg},
    {ZYDIS_MNEMONIC_XADD, bind_xadd},
    {ZYDIS_MNEMONIC_CMPXCHG, bind_cmpxchg},
    {ZYDIS_MNEMONIC_CMPXCHG8B, bind_handler<cmpxchg8b>},
    {ZYDIS_MNEMONIC_CMPXCHG16B, bind_handler<cmpxchg16b>},
};

}  // namespace

absl::Span<const Binding> exchange_bindings() { return kBindings; }

}  // namespace gnomon::vmm

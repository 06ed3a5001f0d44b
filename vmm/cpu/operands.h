// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_OPERANDS_H_
#define VMM_CPU_OPERANDS_H_

#include <cstdint>
#include <cstring>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/decode.h"

// Handlers of instructions of the shape `a = f(a, b)`, with `a` and `b` where the instruction says.
// Where memory is involved each comes in two: a short one for addresses that the software TLB
// holds, which saves no registers and ends in a jump, and one for all other cases, which the first
// goes to before it has changed anything.

namespace gnomon::vmm {

// An operation F has
//   static constexpr bool kStores;  // false: only the flags are of interest
//   template <class T> static T compute(LazyFlags& flags, T a, T b);

/// How an address is computed.
enum class Address : uint8_t {
  kAny,
  kBaseDisp,  ///< base + displacement, in a segment that begins at 0
};
/// Where the operand `b` is.
enum class Source : uint8_t { kRegister, kImmediate };

inline bool is_base_disp(const Decoded& d, const Op& op) {
  return (d.mode & code_mode::kFlat) != 0 && op.index == kNoRegister && op.segment != kFs &&
         op.segment != kGs;
}

template <Address address>
uint64_t linear_of(const Cpu& cpu, const Op* op) {
  if constexpr (address == Address::kAny) return cpu.linear_of(op);
  return (cpu.gpr[op->base] + static_cast<uint64_t>(int64_t{op->disp})) & op->address_mask;
}

/// `choose.operator()<address>()` for the operand's way of addressing.
template <class Choose>
Handler by_address(const Decoded& d, const Op& op, Choose&& choose) {
  if (is_base_disp(d, op)) return choose.template operator()<Address::kBaseDisp>();
  return choose.template operator()<Address::kAny>();
}

/// For instructions that name memory without touching it.
inline void no_access(Op& op) { op.flags &= static_cast<uint8_t>(~op_flag::kMemory); }

template <class T>
T value_at(const uint8_t* host) {
  T value;
  std::memcpy(&value, host, sizeof(T));
  return value;
}
template <class T>
void set_value_at(uint8_t* host, T value) {
  std::memcpy(host, &value, sizeof(T));
}

template <Source source, class T>
T source_of(const Cpu& cpu, const Op* op, uint8_t r) {
  if constexpr (source == Source::kImmediate) return static_cast<T>(op->imm);
  return cpu.reg<T>(r);
}

/// Register destination; register or immediate.
template <class F, class T, Source source>
void register_other(Cpu& cpu, const Op* op) {
  const T b = source_of<source, T>(cpu, op, op->r2);
  const T r = F::template compute<T>(cpu.flags, cpu.reg<T>(op->r1), b);
  if constexpr (F::kStores) cpu.set_reg<T>(op->r1, r);
  return next(cpu, op);
}

/// F::compute for T, for any width: the slow handlers are one for all operations and sizes, which
/// keeps them few.
using Compute = uint64_t (*)(LazyFlags& flags, uint64_t a, uint64_t b);
template <class F, class T>
uint64_t widened_compute(LazyFlags& flags, uint64_t a, uint64_t b) {
  return F::template compute<T>(flags, static_cast<T>(a), static_cast<T>(b));
}
[[gnu::cold]] void register_memory_slow(Cpu& cpu, const Op* op, Compute compute, bool stores);
[[gnu::cold]] void memory_other_slow(Cpu& cpu, const Op* op, Compute compute, bool stores,
                                     Source source);

/// Register destination, memory.
template <class F, class T, Address address>
void register_memory(Cpu& cpu, const Op* op) {
  const uint64_t at = linear_of<address>(cpu, op);
  const uint8_t* host;
  if (!cpu.memory.find_readable<T>(at, host)) [[unlikely]]
    return register_memory_slow(cpu, op, widened_compute<F, T>, F::kStores);
  const T r = F::template compute<T>(cpu.flags, cpu.reg<T>(op->r1), value_at<T>(host));
  if constexpr (F::kStores) cpu.set_reg<T>(op->r1, r);
  return next(cpu, op);
}

/// Memory destination; register or immediate.
template <class F, class T, Source source, Address address>
void memory_other(Cpu& cpu, const Op* op) {
  const uint64_t at = linear_of<address>(cpu, op);
  if constexpr (F::kStores) {
    uint8_t* host;
    if (!cpu.memory.find_writable<T>(at, host)) [[unlikely]]
      return memory_other_slow(cpu, op, widened_compute<F, T>, F::kStores, source);
    const T b = source_of<source, T>(cpu, op, op->r1);
    set_value_at<T>(host, F::template compute<T>(cpu.flags, value_at<T>(host), b));
  } else {
    const uint8_t* host;
    if (!cpu.memory.find_readable<T>(at, host)) [[unlikely]]
      return memory_other_slow(cpu, op, widened_compute<F, T>, F::kStores, source);
    F::template compute<T>(cpu.flags, value_at<T>(host), source_of<source, T>(cpu, op, op->r1));
  }
  return next(cpu, op);
}

/// The handler of F with operand 0 in a register or memory, and `b` where `source` says.
template <class F, class T, Source source>
Handler with_source(const Decoded& d, const Op& op) {
  if (!d.is_memory(0)) return register_other<F, T, source>;
  return by_address(
      d, op, [&]<Address address>() -> Handler { return memory_other<F, T, source, address>; });
}

/// The handler of F with operand 0 in a register, and `b` in a register or memory.
template <class F, class T>
Handler into_register(const Decoded& d, const Op& op) {
  if (!d.is_memory(1)) return register_other<F, T, Source::kRegister>;
  return by_address(d, op,
                    [&]<Address address>() -> Handler { return register_memory<F, T, address>; });
}
/// The handler of F for any two operands that integer instructions have.
template <class F, class T>
Handler two_operands(const Decoded& d, const Op& op) {
  if (d.is_memory(1)) return into_register<F, T>(d, op);
  if (d.is_immediate(1)) return with_source<F, T, Source::kImmediate>(d, op);
  return with_source<F, T, Source::kRegister>(d, op);
}
/// The handler of F for one operand.
template <class F, class T>
Handler one_operand(const Decoded& d, const Op& op) {
  return with_source<F, T, Source::kImmediate>(d, op);
}

}  // namespace gnomon::vmm

#endif  // VMM_CPU_OPERANDS_H_

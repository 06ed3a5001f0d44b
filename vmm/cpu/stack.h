// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_STACK_H_
#define VMM_CPU_STACK_H_

#include <cstdint>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/decode.h"

// The stack as instructions use it that push and pop. S is the unsigned integer that is as wide as
// the stack pointer: 64 bits in 64-bit code, else 16 or 32 (SS.B). T is as wide as what is pushed.
// `checked`: segments are not flat.

namespace gnomon::vmm {

template <class S>
uint64_t stack_linear(const Cpu& cpu, uint64_t offset) {
  if constexpr (sizeof(S) == 8) return offset;
  return cpu.linear(kSs, offset);
}

template <class S>
S stack_pointer(const Cpu& cpu) {
  return static_cast<S>(cpu.gpr[kRsp]);
}
template <class S>
void set_stack_pointer(Cpu& cpu, uint64_t value) {
  cpu.set_reg<S>(8 * kRsp, static_cast<S>(value));
}

/// False: it faults, and the handler must return.
template <class T, class S, bool checked>
bool stack_allows(Cpu& cpu, const Op* op, S at, unsigned bytes, bool write) {
  if constexpr (checked) {
    if (!may_access(cpu, kSs, at, bytes, write)) [[unlikely]] {
      fault(cpu, op, segment_fault(kSs));
      return false;
    }
  }
  return true;
}
/// Stores below the top of the stack; the stack pointer stays. False: it faults.
template <class T, class S, bool checked>
bool push_store(Cpu& cpu, const Op* op, S at, T value) {
  if (!stack_allows<T, S, checked>(cpu, op, at, sizeof(T), true)) return false;
  if (cpu.memory.store(stack_linear<S>(cpu, at), value)) [[likely]]
    return true;
  memory_fault(cpu, op, true);
  return false;
}
template <class T, class S, bool checked>
bool push(Cpu& cpu, const Op* op, T value) {
  const S at = static_cast<S>(stack_pointer<S>(cpu) - sizeof(T));
  if (!push_store<T, S, checked>(cpu, op, at, value)) return false;
  set_stack_pointer<S>(cpu, at);
  return true;
}
/// What a POP would give; the stack pointer stays. False: it faults.
template <class T, class S, bool checked>
bool peek(Cpu& cpu, const Op* op, S at, T& value) {
  if (!stack_allows<T, S, checked>(cpu, op, at, sizeof(T), false)) return false;
  if (cpu.memory.load(stack_linear<S>(cpu, at), value)) [[likely]]
    return true;
  memory_fault(cpu, op, true);
  return false;
}

/// Gives `op` the handler `choose.operator()<T, S, checked>()` for operands of so many bytes.
/// False: there is none.
template <class Choose>
bool by_stack(const Decoded& d, unsigned bytes, Op& op, Choose&& choose) {
  op.size = static_cast<uint8_t>(bytes);
  if ((d.mode & code_mode::kBits) == code_mode::k64) {
    if (bytes == 8) op.run = choose.template operator()<uint64_t, uint64_t, false>();
    if (bytes == 2) op.run = choose.template operator()<uint16_t, uint64_t, false>();
    return bytes == 8 || bytes == 2;
  }
  const auto with_stack = [&]<class T>(T) -> Handler {
    const bool wide = (d.mode & code_mode::kStack32) != 0;
    if ((d.mode & code_mode::kFlat) == 0) {
      return wide ? choose.template operator()<T, uint32_t, true>()
                  : choose.template operator()<T, uint16_t, true>();
    }
    return wide ? choose.template operator()<T, uint32_t, false>()
                : choose.template operator()<T, uint16_t, false>();
  };
  if (bytes == 2) op.run = with_stack(uint16_t{});
  if (bytes == 4) op.run = with_stack(uint32_t{});
  return bytes == 2 || bytes == 4;
}

}  // namespace gnomon::vmm

#endif  // VMM_CPU_STACK_H_

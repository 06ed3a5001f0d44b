// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_SOFTSSE_H_
#define VMM_CPU_SOFTSSE_H_

#include <cstdint>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/decode.h"
#include "vmm/cpu/softsse_host.h"

// What handlers of vector instructions share: operands, and floating-point operations under the
// guest's MXCSR.

namespace gnomon::vmm {

/// MXCSR (SDM vol. 1, 10.2.3).
namespace mxcsr {
inline constexpr uint32_t kInvalid = 1, kDenormal = 2, kZeroDivide = 4, kUnderflow = 0x10,
                          kFlags = 0x3f,
                          kBefore =
                              kInvalid | kDenormal | kZeroDivide;  ///< found before the operation
inline constexpr unsigned kMaskShift = 7;
inline constexpr uint32_t kMasks = kFlags << kMaskShift, kFlushToZero = 0x8000, kDefault = 0x1f80,
                          kDefined = 0xffff;  ///< the rest is reserved
}  // namespace mxcsr

/// May an SSE instruction run? If not, it has raised its fault.
inline bool sse_ready(Cpu& cpu, const Op* op) {
  if (cpu.sse_fault == 0) [[likely]]
    return true;
  fault(cpu, op, Fault::plain(cpu.sse_fault));
  return false;
}

inline Vector128 xmm(const Cpu& cpu, uint8_t number) { return host::load(cpu.state.xmm[number]); }
inline void set_xmm(Cpu& cpu, uint8_t number, Vector128 v) {
  host::store(cpu.state.xmm[number], v);
}

/// Loads the memory operand into the low bytes, the others 0; 16 bytes must be aligned if
/// `aligned`. False: it has faulted.
template <unsigned bytes, bool aligned = true>
bool load_vector(Cpu& cpu, const Op* op, Vector128& v) {
  const uint64_t at = cpu.linear_of(op);
  if constexpr (bytes == 16) {
    if (aligned && at % 16 != 0) [[unlikely]] {
      fault(cpu, op, Fault::gp());
      return false;
    }
    uint64_t halves[2];
    if (!cpu.memory.load16(at, halves)) {
      memory_fault(cpu, op);
      return false;
    }
    v = host::make(halves[0], halves[1]);
  } else {
    std::conditional_t<bytes == 8, uint64_t, std::conditional_t<bytes == 4, uint32_t, uint16_t>>
        value;
    if (!cpu.memory.load(at, value)) {
      memory_fault(cpu, op);
      return false;
    }
    v = host::make(value);
  }
  return true;
}
template <unsigned bytes, bool aligned = true>
bool store_vector(Cpu& cpu, const Op* op, Vector128 v) {
  const uint64_t at = cpu.linear_of(op);
  bool stored;
  if constexpr (bytes == 16) {
    if (aligned && at % 16 != 0) [[unlikely]] {
      fault(cpu, op, Fault::gp());
      return false;
    }
    const uint64_t halves[2] = {host::low(v), host::high(v)};
    stored = cpu.memory.store16(at, halves);
  } else if constexpr (bytes == 8) {
    stored = cpu.memory.store(at, host::low(v));
  } else {
    stored = cpu.memory.store(at, static_cast<uint32_t>(host::low(v)));
  }
  if (!stored) memory_fault(cpu, op);
  return stored;
}

/// Takes over the flags of an operation under the guest's MXCSR. False: one is not masked, and has
/// been raised: the result is not to be written.
bool take_simd_flags(Cpu& cpu, const Op* op, uint32_t flags);

/// Runs `I::run(a, b)` as the guest's MXCSR wants it, then `I::finish(cpu, op, result)` and the
/// next instruction. With all of MXCSR at its defaults it runs as it is; only flags that the guest
/// does not have yet need care: they may be older, of the host's own work.
template <class I, class A, class B>
[[gnu::noinline]] void run_float_carefully(Cpu& cpu, const Op* op, A a, B b) {
  const uint32_t saved = host::mxcsr();
  const uint32_t guest = cpu.state.mxcsr;
  const bool underflow_masked = (guest & mxcsr::kUnderflow << mxcsr::kMaskShift) != 0;
  uint32_t control = (guest & ~mxcsr::kFlags) | mxcsr::kMasks;
  uint32_t flags = 0;
  if (!underflow_masked) {
    // A masked underflow is one of a tiny result that is not exact; an unmasked one, of any tiny
    // result: those that flushing to zero changes.
    host::set_mxcsr(control | mxcsr::kFlushToZero);
    I::run(a, b);
    flags = host::mxcsr() & mxcsr::kUnderflow;
    control &= ~mxcsr::kFlushToZero;  // works only if masked
  }
  host::set_mxcsr(control);
  const auto result = I::run(a, b);
  flags |= host::mxcsr() & mxcsr::kFlags;
  host::set_mxcsr((saved & ~mxcsr::kFlags) | flags);
  if (!take_simd_flags(cpu, op, flags)) return;
  I::finish(cpu, op, result);
  return next(cpu, op);
}
template <class I, class A, class B>
[[gnu::always_inline]] inline void run_float(Cpu& cpu, const Op* op, A a, B b) {
  const uint32_t guest = cpu.state.mxcsr;
  if ((guest & ~mxcsr::kFlags) == mxcsr::kDefault) [[likely]] {
    const auto result = I::run(a, b);
    if ((host::mxcsr() & ~(guest & mxcsr::kFlags)) == mxcsr::kDefault) [[likely]] {
      I::finish(cpu, op, result);
      return next(cpu, op);
    }
  }
  return run_float_carefully<I>(cpu, op, a, b);
}

/// `finish` of operations whose result is the destination register.
struct ToXmm {
  static void finish(Cpu& cpu, const Op* op, Vector128 r) { set_xmm(cpu, op->r1, r); }
};

}  // namespace gnomon::vmm

#endif  // VMM_CPU_SOFTSSE_H_

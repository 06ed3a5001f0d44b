// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/mmx.h"
#include "vmm/cpu/softsse.h"

// Conversions between floating point and integers in general and MMX registers; MXCSR itself.

namespace gnomon::vmm {
namespace {

template <ZydisMnemonic m, class T>
struct From : ToXmm {
  static Vector128 run(Vector128 a, T value) { return host::FromInteger<m, T>::run(a, value); }
};
template <ZydisMnemonic m, class T>
struct To {
  static T run(Vector128, Vector128 b) { return host::ToInteger<m, T>::run(b); }
  static void finish(Cpu& cpu, const Op* op, T value) { cpu.set_reg<T>(op->r1, value); }
};

template <ZydisMnemonic m, class T, bool memory>
void from_integer(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  T value;
  if constexpr (memory) {
    if (!cpu.memory.load(cpu.linear_of(op), value)) return memory_fault(cpu, op);
  } else {
    value = cpu.reg<T>(op->r2);
  }
  return run_float<From<m, T>>(cpu, op, xmm(cpu, op->r1), value);
}
// `bytes` of the source in memory; 0: a register.
template <ZydisMnemonic m, class T, unsigned bytes>
void to_integer(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  Vector128 b;
  if constexpr (bytes == 0) {
    b = xmm(cpu, op->r2);
  } else {
    if (!load_vector<bytes>(cpu, op, b)) return;
  }
  return run_float<To<m, T>>(cpu, op, b, b);
}

template <ZydisMnemonic m>
bool bind_from(const Decoded& d, Op& op) {
  const bool memory = d.is_memory(1);
  if (d.bytes(1) == 8) {
    op.run = memory ? from_integer<m, uint64_t, true> : from_integer<m, uint64_t, false>;
  } else {
    op.run = memory ? from_integer<m, uint32_t, true> : from_integer<m, uint32_t, false>;
  }
  return true;
}
template <ZydisMnemonic m, unsigned bytes>
bool bind_to(const Decoded& d, Op& op) {
  const bool memory = d.is_memory(1);
  if (d.bytes(0) == 8) {
    op.run = memory ? to_integer<m, uint64_t, bytes> : to_integer<m, uint64_t, 0>;
  } else {
    op.run = memory ? to_integer<m, uint32_t, bytes> : to_integer<m, uint32_t, 0>;
  }
  return true;
}

// With MMX registers: the same as conversions between vectors whose other half is 0.
template <ZydisMnemonic m>
struct VectorToMmx {
  static uint64_t run(Vector128, Vector128 b) { return host::low(host::Instruction<m>::run(b, b)); }
  static void finish(Cpu& cpu, const Op* op, uint64_t value) {
    enter_mmx(cpu);
    set_mm(cpu, op->r1, value);
  }
};
template <bool memory>
struct MmxToSingle {
  static Vector128 run(Vector128 a, Vector128 b) {
    const Vector128 r = host::Instruction<ZYDIS_MNEMONIC_CVTDQ2PS>::run(b, b);
    return host::make(host::low(r), host::high(a));
  }
  static void finish(Cpu& cpu, const Op* op, Vector128 r) {
    if (!memory) enter_mmx(cpu);
    set_xmm(cpu, op->r1, r);
  }
};
template <bool memory>
struct MmxToDouble {
  static Vector128 run(Vector128 a, Vector128 b) {
    return host::Instruction<ZYDIS_MNEMONIC_CVTDQ2PD>::run(a, b);
  }
  static void finish(Cpu& cpu, const Op* op, Vector128 r) {
    if (!memory) enter_mmx(cpu);
    set_xmm(cpu, op->r1, r);
  }
};

// `bytes` of the source: 8, or 16 of two doubles.
template <class I, unsigned bytes, bool memory>
void vector_to_mmx(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op) || !mmx_ready(cpu, op)) return;
  Vector128 b;
  if constexpr (memory) {
    if (!load_vector<bytes>(cpu, op, b)) return;
  } else {
    b = xmm(cpu, op->r2);
    if (bytes == 8) b = host::make(host::low(b));
  }
  return run_float<I>(cpu, op, b, b);
}
template <class I, bool memory>
void mmx_to_vector(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op) || (!memory && !mmx_ready(cpu, op))) return;
  Vector128 b;
  if constexpr (memory) {
    if (!load_vector<8>(cpu, op, b)) return;
  } else {
    b = host::make(mm(cpu, op->r2));
  }
  return run_float<I>(cpu, op, xmm(cpu, op->r1), b);
}
template <ZydisMnemonic m, unsigned bytes>
bool bind_to_mmx(const Decoded& d, Op& op) {
  op.run = d.is_memory(1) ? vector_to_mmx<VectorToMmx<m>, bytes, true>
                          : vector_to_mmx<VectorToMmx<m>, bytes, false>;
  return true;
}
template <template <bool> class I>
bool bind_from_mmx(const Decoded& d, Op& op) {
  op.run = d.is_memory(1) ? mmx_to_vector<I<true>, true> : mmx_to_vector<I<false>, false>;
  return true;
}

void ldmxcsr(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  uint32_t value;
  if (!cpu.memory.load(cpu.linear_of(op), value)) return memory_fault(cpu, op);
  if ((value & ~mxcsr::kDefined) != 0) return fault(cpu, op, Fault::gp());
  cpu.state.mxcsr = value;
  return next(cpu, op);
}
void stmxcsr(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  if (!cpu.memory.store(cpu.linear_of(op), cpu.state.mxcsr)) return memory_fault(cpu, op);
  return next(cpu, op);
}
constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_CVTSI2SS, bind_from<ZYDIS_MNEMONIC_CVTSI2SS>},
    {ZYDIS_MNEMONIC_CVTSI2SD, bind_from<ZYDIS_MNEMONIC_CVTSI2SD>},
    {ZYDIS_MNEMONIC_CVTSS2SI, bind_to<ZYDIS_MNEMONIC_CVTSS2SI, 4>},
    {ZYDIS_MNEMONIC_CVTTSS2SI, bind_to<ZYDIS_MNEMONIC_CVTTSS2SI, 4>},
    {ZYDIS_MNEMONIC_CVTSD2SI, bind_to<ZYDIS_MNEMONIC_CVTSD2SI, 8>},
    {ZYDIS_MNEMONIC_CVTTSD2SI, bind_to<ZYDIS_MNEMONIC_CVTTSD2SI, 8>},
    {ZYDIS_MNEMONIC_CVTPS2PI, bind_to_mmx<ZYDIS_MNEMONIC_CVTPS2DQ, 8>},
    {ZYDIS_MNEMONIC_CVTTPS2PI, bind_to_mmx<ZYDIS_MNEMONIC_CVTTPS2DQ, 8>},
    {ZYDIS_MNEMONIC_CVTPD2PI, bind_to_mmx<ZYDIS_MNEMONIC_CVTPD2DQ, 16>},
    {ZYDIS_MNEMONIC_CVTTPD2PI, bind_to_mmx<ZYDIS_MNEMONIC_CVTTPD2DQ, 16>},
    {ZYDIS_MNEMONIC_CVTPI2PS, bind_from_mmx<MmxToSingle>},
    {ZYDIS_MNEMONIC_CVTPI2PD, bind_from_mmx<MmxToDouble>},
    {ZYDIS_MNEMONIC_LDMXCSR, bind_handler<ldmxcsr>},
    {ZYDIS_MNEMONIC_STMXCSR, bind_handler<stmxcsr>},
};

}  // namespace

absl::Span<const Binding> sse_convert_bindings() { return kBindings; }

}  // namespace gnomon::vmm

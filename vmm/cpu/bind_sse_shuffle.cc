// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/mmx.h"
#include "vmm/cpu/softsse.h"

// Rearrangements by an immediate, whole-register shifts, single words, and masks of sign bits.

namespace gnomon::vmm {
namespace {

template <class T>
using Elements = std::array<T, 16 / sizeof(T)>;
template <class T>
Elements<T> elements(Vector128 v) {
  Elements<T> e;
  std::memcpy(&e, &v, 16);
  return e;
}
template <class T>
Vector128 vector(const Elements<T>& e) {
  Vector128 v;
  std::memcpy(&v, &e, 16);
  return v;
}

// `run(a, b, imm)`: the destination.
struct Shufps {
  static Vector128 run(Vector128 a, Vector128 b, unsigned imm) {
    const auto x = elements<uint32_t>(a), y = elements<uint32_t>(b);
    return vector<uint32_t>({x[imm & 3], x[imm >> 2 & 3], y[imm >> 4 & 3], y[imm >> 6 & 3]});
  }
};
struct Shufpd {
  static Vector128 run(Vector128 a, Vector128 b, unsigned imm) {
    return host::make((imm & 1) != 0 ? host::high(a) : host::low(a),
                      (imm & 2) != 0 ? host::high(b) : host::low(b));
  }
};
struct Pshufd {
  static Vector128 run(Vector128, Vector128 b, unsigned imm) { return Shufps::run(b, b, imm); }
};
template <unsigned half>
struct PshufWords {
  static Vector128 run(Vector128, Vector128 b, unsigned imm) {
    const auto x = elements<uint16_t>(b);
    auto r = x;
    for (unsigned i = 0; i < 4; ++i) r[4 * half + i] = x[4 * half + (imm >> 2 * i & 3)];
    return vector<uint16_t>(r);
  }
};
struct Pslldq {
  static Vector128 run(Vector128 a, Vector128, unsigned imm) {
    if (imm > 15) return host::make(0);
    Elements<uint8_t> r{};
    const auto x = elements<uint8_t>(a);
    std::memcpy(r.data() + imm, x.data(), 16 - imm);
    return vector<uint8_t>(r);
  }
};
struct Psrldq {
  static Vector128 run(Vector128 a, Vector128, unsigned imm) {
    if (imm > 15) return host::make(0);
    Elements<uint8_t> r{};
    const auto x = elements<uint8_t>(a);
    std::memcpy(r.data(), x.data() + imm, 16 - imm);
    return vector<uint8_t>(r);
  }
};

template <class F>
void rri(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  const unsigned imm = op->imm & 0xff;
  set_xmm(cpu, op->r1, F::run(xmm(cpu, op->r1), xmm(cpu, op->r2), imm));
  return next(cpu, op);
}
template <class F>
void rmi(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  Vector128 b;
  if (!load_vector<16>(cpu, op, b)) return;
  set_xmm(cpu, op->r1, F::run(xmm(cpu, op->r1), b, op->imm & 0xff));
  return next(cpu, op);
}
template <class F>
bool bind(const Decoded& d, Op& op) {
  op.run = d.is_memory(1) ? rmi<F> : rri<F>;
  return true;
}

template <bool memory>
void pshufw(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  uint64_t b;
  if constexpr (memory) {
    if (!cpu.memory.load(cpu.linear_of(op), b)) return memory_fault(cpu, op);
  } else {
    b = mm(cpu, op->r2);
  }
  enter_mmx(cpu);
  const Vector128 v = host::make(b);
  set_mm(cpu, op->r1, host::low(PshufWords<0>::run(v, v, op->imm & 0xff)));
  return next(cpu, op);
}
bool bind_pshufw(const Decoded& d, Op& op) {
  op.run = d.is_memory(1) ? pshufw<true> : pshufw<false>;
  return true;
}

// PEXTRW and PINSRW.
template <bool mmx>
void pextrw(Cpu& cpu, const Op* op) {
  if (mmx ? !mmx_ready(cpu, op) : !sse_ready(cpu, op)) return;
  uint64_t value;
  if constexpr (mmx) {
    enter_mmx(cpu);
    value = mm(cpu, op->r2) >> 16 * (op->imm & 3);
  } else {
    value = cpu.state.xmm[op->r2].q[op->imm >> 2 & 1] >> 16 * (op->imm & 3);
  }
  cpu.set_reg<uint32_t>(op->r1, value & 0xffff);
  return next(cpu, op);
}
template <bool mmx, bool memory>
void pinsrw(Cpu& cpu, const Op* op) {
  if (mmx ? !mmx_ready(cpu, op) : !sse_ready(cpu, op)) return;
  uint16_t value;
  if constexpr (memory) {
    if (!cpu.memory.load(cpu.linear_of(op), value)) return memory_fault(cpu, op);
  } else {
    value = cpu.reg<uint16_t>(op->r2);
  }
  const unsigned shift = 16 * (op->imm & 3);
  const uint64_t put = uint64_t{value} << shift;
  const uint64_t keep = ~(uint64_t{0xffff} << shift);
  if constexpr (mmx) {
    enter_mmx(cpu);
    set_mm(cpu, op->r1, (mm(cpu, op->r1) & keep) | put);
  } else {
    uint64_t& q = cpu.state.xmm[op->r1].q[op->imm >> 2 & 1];
    q = (q & keep) | put;
  }
  return next(cpu, op);
}
bool bind_pextrw(const Decoded& d, Op& op) {
  if (d.is_memory(0)) return false;  // SSE4.1
  op.run = is_mmx(d, 1) ? pextrw<true> : pextrw<false>;
  return true;
}
bool bind_pinsrw(const Decoded& d, Op& op) {
  if (is_mmx(d, 0)) {
    op.run = d.is_memory(1) ? pinsrw<true, true> : pinsrw<true, false>;
  } else {
    op.run = d.is_memory(1) ? pinsrw<false, true> : pinsrw<false, false>;
  }
  return true;
}

// Masks of the sign bits.
template <class T>
unsigned signs(Vector128 v) {
  if constexpr (sizeof(T) == 1) return static_cast<unsigned>(_mm_movemask_epi8(v));
  unsigned r = 0;
  const auto x = elements<T>(v);
  for (unsigned i = 0; i < x.size(); ++i)
    r |= static_cast<unsigned>(x[i] >> (8 * sizeof(T) - 1)) << i;
  return r;
}
template <class T>
void mask(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  cpu.set_reg<uint32_t>(op->r1, signs<T>(xmm(cpu, op->r2)));
  return next(cpu, op);
}
void mask_mmx(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  enter_mmx(cpu);
  cpu.set_reg<uint32_t>(op->r1, signs<uint8_t>(host::make(mm(cpu, op->r2))));
  return next(cpu, op);
}
bool bind_pmovmskb(const Decoded& d, Op& op) {
  op.run = is_mmx(d, 1) ? mask_mmx : mask<uint8_t>;
  return true;
}
constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_SHUFPS, bind<Shufps>},
    {ZYDIS_MNEMONIC_SHUFPD, bind<Shufpd>},
    {ZYDIS_MNEMONIC_PSHUFD, bind<Pshufd>},
    {ZYDIS_MNEMONIC_PSHUFLW, bind<PshufWords<0>>},
    {ZYDIS_MNEMONIC_PSHUFHW, bind<PshufWords<1>>},
    {ZYDIS_MNEMONIC_PSHUFW, bind_pshufw},
    {ZYDIS_MNEMONIC_PSLLDQ, bind<Pslldq>},
    {ZYDIS_MNEMONIC_PSRLDQ, bind<Psrldq>},
    {ZYDIS_MNEMONIC_PEXTRW, bind_pextrw},
    {ZYDIS_MNEMONIC_PINSRW, bind_pinsrw},
    {ZYDIS_MNEMONIC_PMOVMSKB, bind_pmovmskb},
    {ZYDIS_MNEMONIC_MOVMSKPS, bind_handler<mask<uint32_t>>},
    {ZYDIS_MNEMONIC_MOVMSKPD, bind_handler<mask<uint64_t>>},
};

}  // namespace

absl::Span<const Binding> sse_shuffle_bindings() { return kBindings; }

}  // namespace gnomon::vmm

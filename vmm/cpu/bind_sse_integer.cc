// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/mmx.h"
#include "vmm/cpu/softsse.h"

// Operations on integers in vectors, XMM and MMX, and those on bits, which set no flags. An MMX
// instruction is the XMM one on registers whose upper half is 0, but for some whose result comes
// from elsewhere.

namespace gnomon::vmm {
namespace {

template <ZydisMnemonic m>
uint64_t run_mmx(uint64_t a, uint64_t b) {
  using namespace host;
  if constexpr (m == ZYDIS_MNEMONIC_PACKSSWB || m == ZYDIS_MNEMONIC_PACKSSDW ||
                m == ZYDIS_MNEMONIC_PACKUSWB) {
    const Vector128 both = make(a, b);
    return low(Instruction<m>::run(both, both));
  } else if constexpr (m == ZYDIS_MNEMONIC_PUNPCKHBW) {
    return high(Instruction<ZYDIS_MNEMONIC_PUNPCKLBW>::run(make(a), make(b)));
  } else if constexpr (m == ZYDIS_MNEMONIC_PUNPCKHWD) {
    return high(Instruction<ZYDIS_MNEMONIC_PUNPCKLWD>::run(make(a), make(b)));
  } else if constexpr (m == ZYDIS_MNEMONIC_PUNPCKHDQ) {
    return high(Instruction<ZYDIS_MNEMONIC_PUNPCKLDQ>::run(make(a), make(b)));
  } else {
    return low(Instruction<m>::run(make(a), make(b)));
  }
}

template <ZydisMnemonic m>
void rr(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  set_xmm(cpu, op->r1, host::Instruction<m>::run(xmm(cpu, op->r1), xmm(cpu, op->r2)));
  return next(cpu, op);
}
template <ZydisMnemonic m>
void rm(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  Vector128 b;
  if (!load_vector<16>(cpu, op, b)) return;
  set_xmm(cpu, op->r1, host::Instruction<m>::run(xmm(cpu, op->r1), b));
  return next(cpu, op);
}
// Shifts by an immediate.
template <ZydisMnemonic m>
void ri(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  set_xmm(cpu, op->r1, host::Instruction<m>::run(xmm(cpu, op->r1), host::make(op->imm & 0xff)));
  return next(cpu, op);
}
template <ZydisMnemonic m>
void mmx_rr(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  enter_mmx(cpu);
  set_mm(cpu, op->r1, run_mmx<m>(mm(cpu, op->r1), mm(cpu, op->r2)));
  return next(cpu, op);
}
template <ZydisMnemonic m, class T>
void mmx_rm(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  T b;
  if (!cpu.memory.load(cpu.linear_of(op), b)) return memory_fault(cpu, op);
  enter_mmx(cpu);
  set_mm(cpu, op->r1, run_mmx<m>(mm(cpu, op->r1), b));
  return next(cpu, op);
}
template <ZydisMnemonic m>
void mmx_ri(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  enter_mmx(cpu);
  set_mm(cpu, op->r1, run_mmx<m>(mm(cpu, op->r1), op->imm & 0xff));
  return next(cpu, op);
}

template <ZydisMnemonic m>
bool bind(const Decoded& d, Op& op) {
  if (is_mmx(d, 0)) {
    if (d.is_immediate(1)) {
      op.run = mmx_ri<m>;
    } else if (d.is_memory(1)) {
      op.run = d.bytes(1) == 4 ? mmx_rm<m, uint32_t> : mmx_rm<m, uint64_t>;
    } else {
      op.run = mmx_rr<m>;
    }
    return true;
  }
  op.run = d.is_immediate(1) ? ri<m> : d.is_memory(1) ? rm<m> : rr<m>;
  return true;
}
template <ZydisMnemonic m>
bool bind_xmm(const Decoded& d, Op& op) {
  op.run = d.is_memory(1) ? rm<m> : rr<m>;
  return true;
}

#define GNOMON_ROW(name) \
  { ZYDIS_MNEMONIC_##name, bind<ZYDIS_MNEMONIC_##name> }
#define GNOMON_XMM(name) \
  { ZYDIS_MNEMONIC_##name, bind_xmm<ZYDIS_MNEMONIC_##name> }

constexpr Binding kBindings[] = {
    GNOMON_ROW(PADDB),      GNOMON_ROW(PADDW),     GNOMON_ROW(PADDD),     GNOMON_ROW(PADDQ),
    GNOMON_ROW(PSUBB),      GNOMON_ROW(PSUBW),     GNOMON_ROW(PSUBD),     GNOMON_ROW(PSUBQ),
    GNOMON_ROW(PADDSB),     GNOMON_ROW(PADDSW),    GNOMON_ROW(PADDUSB),   GNOMON_ROW(PADDUSW),
    GNOMON_ROW(PSUBSB),     GNOMON_ROW(PSUBSW),    GNOMON_ROW(PSUBUSB),   GNOMON_ROW(PSUBUSW),
    GNOMON_ROW(PCMPEQB),    GNOMON_ROW(PCMPEQW),   GNOMON_ROW(PCMPEQD),   GNOMON_ROW(PCMPGTB),
    GNOMON_ROW(PCMPGTW),    GNOMON_ROW(PCMPGTD),   GNOMON_ROW(PSLLW),     GNOMON_ROW(PSLLD),
    GNOMON_ROW(PSLLQ),      GNOMON_ROW(PSRLW),     GNOMON_ROW(PSRLD),     GNOMON_ROW(PSRLQ),
    GNOMON_ROW(PSRAW),      GNOMON_ROW(PSRAD),     GNOMON_ROW(PMULLW),    GNOMON_ROW(PMULHW),
    GNOMON_ROW(PMULHUW),    GNOMON_ROW(PMULUDQ),   GNOMON_ROW(PMADDWD),   GNOMON_ROW(PSADBW),
    GNOMON_ROW(PAVGB),      GNOMON_ROW(PAVGW),     GNOMON_ROW(PMINUB),    GNOMON_ROW(PMINSW),
    GNOMON_ROW(PMAXUB),     GNOMON_ROW(PMAXSW),    GNOMON_ROW(PAND),      GNOMON_ROW(PANDN),
    GNOMON_ROW(POR),        GNOMON_ROW(PXOR),      GNOMON_ROW(PACKSSWB),  GNOMON_ROW(PACKSSDW),
    GNOMON_ROW(PACKUSWB),   GNOMON_ROW(PUNPCKLBW), GNOMON_ROW(PUNPCKLWD), GNOMON_ROW(PUNPCKLDQ),
    GNOMON_ROW(PUNPCKHBW),  GNOMON_ROW(PUNPCKHWD), GNOMON_ROW(PUNPCKHDQ), GNOMON_XMM(PUNPCKLQDQ),
    GNOMON_XMM(PUNPCKHQDQ), GNOMON_XMM(UNPCKLPS),  GNOMON_XMM(UNPCKHPS),  GNOMON_XMM(UNPCKLPD),
    GNOMON_XMM(UNPCKHPD),   GNOMON_XMM(ANDPS),     GNOMON_XMM(ANDNPS),    GNOMON_XMM(ORPS),
    GNOMON_XMM(XORPS),      GNOMON_XMM(ANDPD),     GNOMON_XMM(ANDNPD),    GNOMON_XMM(ORPD),
    GNOMON_XMM(XORPD),
};

}  // namespace

absl::Span<const Binding> sse_integer_bindings() { return kBindings; }

}  // namespace gnomon::vmm

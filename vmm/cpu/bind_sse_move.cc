// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/mmx.h"
#include "vmm/cpu/softsse.h"

// Moves of vectors and of parts of them.

namespace gnomon::vmm {
namespace {

// Whole vectors.
void move_rr(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  set_xmm(cpu, op->r1, xmm(cpu, op->r2));
  return next(cpu, op);
}
// `bytes` from memory, the rest becomes 0; and to memory.
template <unsigned bytes, bool aligned>
void load(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  Vector128 v;
  if (!load_vector<bytes, aligned>(cpu, op, v)) return;
  set_xmm(cpu, op->r1, v);
  return next(cpu, op);
}
template <unsigned bytes, bool aligned>
void store(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op) || !store_vector<bytes, aligned>(cpu, op, xmm(cpu, op->r1))) return;
  return next(cpu, op);
}
template <bool aligned>
bool bind_whole(const Decoded& d, Op& op) {
  op.run = d.is_memory(0) ? store<16, aligned> : d.is_memory(1) ? load<16, aligned> : move_rr;
  return true;
}

// MOVSS and MOVSD.
template <class T>
void scalar_rr(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  std::memcpy(cpu.state.xmm[op->r1].q.data(), cpu.state.xmm[op->r2].q.data(), sizeof(T));
  return next(cpu, op);
}
template <class T>
bool bind_scalar(const Decoded& d, Op& op) {
  if (!is_xmm(d, 0) && !is_xmm(d, 1)) return false;  // MOVSD of strings
  op.run = d.is_memory(0)   ? store<sizeof(T), false>
           : d.is_memory(1) ? load<sizeof(T), false>
                            : scalar_rr<T>;
  return true;
}

// MOVLPS, MOVHPS and relatives: one half of a register, the other stays.
template <unsigned half>
void load_half(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  uint64_t value;
  if (!cpu.memory.load(cpu.linear_of(op), value)) return memory_fault(cpu, op);
  cpu.state.xmm[op->r1].q[half] = value;
  return next(cpu, op);
}
template <unsigned half>
void store_half(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  if (!cpu.memory.store(cpu.linear_of(op), cpu.state.xmm[op->r1].q[half]))
    return memory_fault(cpu, op);
  return next(cpu, op);
}
template <unsigned to, unsigned from>
void move_half(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  cpu.state.xmm[op->r1].q[to] = cpu.state.xmm[op->r2].q[from];
  return next(cpu, op);
}
template <unsigned half>
bool bind_half(const Decoded& d, Op& op) {
  op.run = d.is_memory(0) ? store_half<half> : load_half<half>;
  return true;
}

// MOVD and MOVQ.
template <class T>
void xmm_from_general(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  set_xmm(cpu, op->r1, host::make(cpu.reg<T>(op->r2)));
  return next(cpu, op);
}
template <class T>
void general_from_xmm(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  cpu.set_reg<T>(op->r1, static_cast<T>(host::low(xmm(cpu, op->r2))));
  return next(cpu, op);
}
void movq_rr(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  set_xmm(cpu, op->r1, host::make(host::low(xmm(cpu, op->r2))));
  return next(cpu, op);
}
template <class T>
void mm_from_general(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  enter_mmx(cpu);
  set_mm(cpu, op->r1, cpu.reg<T>(op->r2));
  return next(cpu, op);
}
template <class T>
void general_from_mm(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  enter_mmx(cpu);
  cpu.set_reg<T>(op->r1, static_cast<T>(mm(cpu, op->r2)));
  return next(cpu, op);
}
void mm_from_mm(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  enter_mmx(cpu);
  set_mm(cpu, op->r1, mm(cpu, op->r2));
  return next(cpu, op);
}
template <class T>
void load_mm(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  T value;
  if (!cpu.memory.load(cpu.linear_of(op), value)) return memory_fault(cpu, op);
  enter_mmx(cpu);
  set_mm(cpu, op->r1, value);
  return next(cpu, op);
}
template <class T>
void store_mm(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  if (!cpu.memory.store(cpu.linear_of(op), static_cast<T>(mm(cpu, op->r1))))
    return memory_fault(cpu, op);
  enter_mmx(cpu);
  return next(cpu, op);
}
template <class T>
bool bind_element(const Decoded& d, Op& op) {
  if (is_mmx(d, 0)) {
    op.run = d.is_memory(1) ? load_mm<T> : is_mmx(d, 1) ? mm_from_mm : mm_from_general<T>;
  } else if (is_mmx(d, 1)) {
    op.run = d.is_memory(0) ? store_mm<T> : general_from_mm<T>;
  } else if (is_xmm(d, 0)) {
    op.run = d.is_memory(1) ? load<sizeof(T), false> : is_xmm(d, 1) ? movq_rr : xmm_from_general<T>;
  } else {
    op.run = d.is_memory(0) ? store<sizeof(T), false> : general_from_xmm<T>;
  }
  return true;
}

// Between MMX and XMM registers.
void movq2dq(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op) || !mmx_ready(cpu, op)) return;
  enter_mmx(cpu);
  set_xmm(cpu, op->r1, host::make(mm(cpu, op->r2)));
  return next(cpu, op);
}
void movdq2q(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op) || !mmx_ready(cpu, op)) return;
  enter_mmx(cpu);
  set_mm(cpu, op->r1, host::low(xmm(cpu, op->r2)));
  return next(cpu, op);
}
void emms(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  enter_mmx(cpu);
  cpu.state.x87.tags = 0;
  return next(cpu, op);
}

// Bytes of `data` whose mask byte has its top bit set go to memory.
bool store_masked(Cpu& cpu, const Op* op, const Xmm& data, const Xmm& mask, unsigned bytes) {
  uint8_t value[16];
  uint8_t chosen[16];
  std::memcpy(value, &data, 16);
  std::memcpy(chosen, &mask, 16);
  unsigned first = bytes;
  unsigned last = 0;
  for (unsigned i = 0; i < bytes; ++i) {
    if (chosen[i] < 0x80) continue;
    if (first == bytes) first = i;
    last = i;
  }
  if (first == bytes) return true;
  const uint64_t offset = cpu.offset_of(op);
  const uint64_t from = (offset + first) & op->address_mask;
  if ((op->flags & op_flag::kChecked) != 0 &&
      !may_access(cpu, op->segment, from, last - first + 1, true)) {
    fault(cpu, op, segment_fault(op->segment));
    return false;
  }
  const uint64_t at = cpu.linear_of(op);
  if (!cpu.memory.probe_store(at + first, last - first + 1, cpu.memory.privilege())) {
    memory_fault(cpu, op);
    return false;
  }
  for (unsigned i = first; i <= last; ++i) {
    if (chosen[i] < 0x80) continue;
    if (!cpu.memory.store(at + i, value[i])) {
      memory_fault(cpu, op);
      return false;
    }
  }
  return true;
}
void maskmovdqu(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  if (!store_masked(cpu, op, cpu.state.xmm[op->r1], cpu.state.xmm[op->r2], 16)) return;
  return next(cpu, op);
}
void maskmovq(Cpu& cpu, const Op* op) {
  if (!mmx_ready(cpu, op)) return;
  if (!store_masked(cpu, op, Xmm{{mm(cpu, op->r1)}}, Xmm{{mm(cpu, op->r2)}}, 8)) return;
  enter_mmx(cpu);
  return next(cpu, op);
}
template <Handler handler>
bool bind_masked(const Decoded& d, Op& op) {
  // The memory operand, at (R|E)DI, is not an explicit one.
  op.base = kRdi;
  op.segment = kDs;
  for (unsigned n = 0; n < d.i.operand_count; ++n) {
    if (!d.is_memory(n)) continue;
    const ZydisRegister s = d.operand(n).mem.segment;
    if (s >= ZYDIS_REGISTER_ES && s <= ZYDIS_REGISTER_GS)
      op.segment = static_cast<uint8_t>(s - ZYDIS_REGISTER_ES);
  }
  const bool code64 = (d.mode & code_mode::kBits) == code_mode::k64;
  if (code64 && op.segment < kFs && op.segment != kSs) op.segment = kNoSegment;
  op.run = handler;
  return true;
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_MOVAPS, bind_whole<true>},
    {ZYDIS_MNEMONIC_MOVAPD, bind_whole<true>},
    {ZYDIS_MNEMONIC_MOVDQA, bind_whole<true>},
    {ZYDIS_MNEMONIC_MOVUPS, bind_whole<false>},
    {ZYDIS_MNEMONIC_MOVUPD, bind_whole<false>},
    {ZYDIS_MNEMONIC_MOVDQU, bind_whole<false>},
    {ZYDIS_MNEMONIC_MOVNTPS, bind_whole<true>},
    {ZYDIS_MNEMONIC_MOVNTPD, bind_whole<true>},
    {ZYDIS_MNEMONIC_MOVNTDQ, bind_whole<true>},
    {ZYDIS_MNEMONIC_MOVNTQ, bind_element<uint64_t>},
    {ZYDIS_MNEMONIC_MOVSS, bind_scalar<uint32_t>},
    {ZYDIS_MNEMONIC_MOVSD, bind_scalar<uint64_t>},
    {ZYDIS_MNEMONIC_MOVD, bind_element<uint32_t>},
    {ZYDIS_MNEMONIC_MOVQ, bind_element<uint64_t>},
    {ZYDIS_MNEMONIC_MOVLPS, bind_half<0>},
    {ZYDIS_MNEMONIC_MOVLPD, bind_half<0>},
    {ZYDIS_MNEMONIC_MOVHPS, bind_half<1>},
    {ZYDIS_MNEMONIC_MOVHPD, bind_half<1>},
    {ZYDIS_MNEMONIC_MOVHLPS, bind_handler<move_half<0, 1>>},
    {ZYDIS_MNEMONIC_MOVLHPS, bind_handler<move_half<1, 0>>},
    {ZYDIS_MNEMONIC_MOVQ2DQ, bind_handler<movq2dq>},
    {ZYDIS_MNEMONIC_MOVDQ2Q, bind_handler<movdq2q>},
    {ZYDIS_MNEMONIC_EMMS, bind_handler<emms>},
    {ZYDIS_MNEMONIC_MASKMOVDQU, bind_masked<maskmovdqu>},
    {ZYDIS_MNEMONIC_MASKMOVQ, bind_masked<maskmovq>},
};

}  // namespace

absl::Span<const Binding> sse_move_bindings() { return kBindings; }

}  // namespace gnomon::vmm

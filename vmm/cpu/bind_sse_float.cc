// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstring>
#include <utility>

#include "vmm/cpu/reciprocal.h"
#include "vmm/cpu/softsse.h"

// Arithmetic and comparisons of single and double precision numbers.

namespace gnomon::vmm {
namespace {

// Operations on the destination and a source of `bytes`, if it is in memory.
template <ZydisMnemonic m>
struct Operation : ToXmm {
  static Vector128 run(Vector128 a, Vector128 b) { return host::Instruction<m>::run(a, b); }
};
template <ZydisMnemonic m, unsigned predicate>
struct Comparison : ToXmm {
  static Vector128 run(Vector128 a, Vector128 b) { return host::Compare<m, predicate>::run(a, b); }
};
template <ZydisMnemonic m>
struct Ordering {
  static uint64_t run(Vector128 a, Vector128 b) { return host::Flags<m>::run(a, b); }
  static void finish(Cpu& cpu, const Op*, uint64_t flags) { cpu.flags.set(flags); }
};

template <class I>
void rr(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  return run_float<I>(cpu, op, xmm(cpu, op->r1), xmm(cpu, op->r2));
}
template <class I, unsigned bytes>
void rm(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  Vector128 b;
  if (!load_vector<bytes>(cpu, op, b)) return;
  return run_float<I>(cpu, op, xmm(cpu, op->r1), b);
}

template <class I, unsigned bytes>
bool bind_as(const Decoded& d, Op& op) {
  op.run = d.is_memory(1) ? rm<I, bytes> : rr<I>;
  return true;
}
template <ZydisMnemonic m, unsigned bytes>
bool bind(const Decoded& d, Op& op) {
  return bind_as<Operation<m>, bytes>(d, op);
}
template <ZydisMnemonic m, unsigned bytes>
bool bind_ordering(const Decoded& d, Op& op) {
  return bind_as<Ordering<m>, bytes>(d, op);
}
template <ZydisMnemonic m, unsigned bytes>
bool bind_comparison(const Decoded& d, Op& op) {
  if (d.visible() < 3 || !d.is_immediate(2)) return false;  // CMPSD of strings
  using Bind = bool (*)(const Decoded&, Op&);
  static constexpr auto kByPredicate = []<size_t... i>(std::index_sequence<i...>) {
    return std::array<Bind, 8>{bind_as<Comparison<m, i>, bytes>...};
  }
  (std::make_index_sequence<8>());
  return kByPredicate[op.imm & 7](d, op);
}

// RCPPS and relatives: MXCSR has no say. `bytes`: of one number (4) or four.
template <uint32_t (*function)(uint32_t), unsigned bytes, bool memory>
void approximate(Cpu& cpu, const Op* op) {
  if (!sse_ready(cpu, op)) return;
  Vector128 b;
  if constexpr (memory) {
    if (!load_vector<bytes>(cpu, op, b)) return;
  } else {
    b = xmm(cpu, op->r2);
  }
  std::array<uint32_t, 4> source;
  std::memcpy(source.data(), &b, 16);
  std::array<uint32_t, 4> result;
  std::memcpy(result.data(), cpu.state.xmm[op->r1].q.data(), 16);
  for (unsigned i = 0; i < bytes / 4; ++i) result[i] = function(source[i]);
  std::memcpy(cpu.state.xmm[op->r1].q.data(), result.data(), 16);
  return next(cpu, op);
}
template <uint32_t (*function)(uint32_t), unsigned bytes>
bool bind_approximation(const Decoded& d, Op& op) {
  op.run =
      d.is_memory(1) ? approximate<function, bytes, true> : approximate<function, bytes, false>;
  return true;
}

#define GNOMON_ROW(bind, name, bytes) \
  { ZYDIS_MNEMONIC_##name, bind<ZYDIS_MNEMONIC_##name, bytes> }
#define GNOMON_ROWS(name)                                                                        \
  GNOMON_ROW(bind, name##PS, 16), GNOMON_ROW(bind, name##PD, 16), GNOMON_ROW(bind, name##SS, 4), \
      GNOMON_ROW(bind, name##SD, 8)

constexpr Binding kBindings[] = {
    GNOMON_ROWS(ADD),
    GNOMON_ROWS(SUB),
    GNOMON_ROWS(MUL),
    GNOMON_ROWS(DIV),
    GNOMON_ROWS(MIN),
    GNOMON_ROWS(MAX),
    GNOMON_ROWS(SQRT),
    {ZYDIS_MNEMONIC_RCPPS, bind_approximation<reciprocal, 16>},
    {ZYDIS_MNEMONIC_RCPSS, bind_approximation<reciprocal, 4>},
    {ZYDIS_MNEMONIC_RSQRTPS, bind_approximation<reciprocal_root, 16>},
    {ZYDIS_MNEMONIC_RSQRTSS, bind_approximation<reciprocal_root, 4>},
    GNOMON_ROW(bind_comparison, CMPPS, 16),
    GNOMON_ROW(bind_comparison, CMPPD, 16),
    GNOMON_ROW(bind_comparison, CMPSS, 4),
    GNOMON_ROW(bind_comparison, CMPSD, 8),
    GNOMON_ROW(bind_ordering, COMISS, 4),
    GNOMON_ROW(bind_ordering, COMISD, 8),
    GNOMON_ROW(bind_ordering, UCOMISS, 4),
    GNOMON_ROW(bind_ordering, UCOMISD, 8),
    GNOMON_ROW(bind, CVTPS2PD, 8),
    GNOMON_ROW(bind, CVTPD2PS, 16),
    GNOMON_ROW(bind, CVTSS2SD, 4),
    GNOMON_ROW(bind, CVTSD2SS, 8),
    GNOMON_ROW(bind, CVTDQ2PS, 16),
    GNOMON_ROW(bind, CVTDQ2PD, 8),
    GNOMON_ROW(bind, CVTPS2DQ, 16),
    GNOMON_ROW(bind, CVTPD2DQ, 16),
    GNOMON_ROW(bind, CVTTPS2DQ, 16),
    GNOMON_ROW(bind, CVTTPD2DQ, 16),
};

}  // namespace

absl::Span<const Binding> sse_float_bindings() { return kBindings; }

}  // namespace gnomon::vmm

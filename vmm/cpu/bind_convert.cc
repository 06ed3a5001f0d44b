// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/operands.h"

// CBW, CWDE, CDQE; CWD, CDQ, CQO; BSWAP; XLATB.

namespace gnomon::vmm {
namespace {

// The accumulator, extended to twice its width.
template <class To, class From>
void extend_accumulator(Cpu& cpu, const Op* op) {
  cpu.set_reg<To>(8 * kRax, static_cast<To>(LazyFlags::widened(cpu.reg<From>(8 * kRax))));
  return next(cpu, op);
}
// Its sign into rDX.
template <class T>
void spread_sign(Cpu& cpu, const Op* op) {
  cpu.set_reg<T>(8 * kRdx,
                 static_cast<T>(static_cast<std::make_signed_t<T>>(cpu.reg<T>(8 * kRax)) >>
                                (8 * sizeof(T) - 1)));
  return next(cpu, op);
}

template <class T>
T reversed(T value) {
  T r = 0;
  for (unsigned i = 0; i < sizeof(T); ++i) r = static_cast<T>(r << 8 | (value >> 8 * i & 0xff));
  return r;
}
// Of 16 bits the result is undefined; processors clear the register.
template <class T>
void bswap(Cpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->r1, sizeof(T) == 2 ? T{0} : reversed(cpu.reg<T>(op->r1)));
  return next(cpu, op);
}
bool bind_bswap(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler { return bswap<T>; });
}

void xlat(Cpu& cpu, const Op* op) {
  const uint64_t offset = (cpu.gpr[kRbx] + cpu.reg<uint8_t>(8 * kRax)) & op->address_mask;
  if (!may_access(cpu, op->segment, offset, 1, false))
    return fault(cpu, op, segment_fault(op->segment));
  uint8_t al;
  if (!cpu.memory.load(cpu.linear(op->segment, offset), al)) return memory_fault(cpu, op);
  cpu.set_reg<uint8_t>(8 * kRax, al);
  return next(cpu, op);
}
// Its memory operand is not among those that the decoder fills in.
bool bind_xlat(const Decoded& d, Op& op) {
  for (unsigned n = 0; n < d.i.operand_count; ++n) {
    if (d.is_memory(n))
      op.segment = static_cast<uint8_t>(d.operand(n).mem.segment - ZYDIS_REGISTER_ES);
  }
  op.run = xlat;
  return op.segment <= kGs;
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_CBW, bind_handler<extend_accumulator<uint16_t, uint8_t>>},
    {ZYDIS_MNEMONIC_CWDE, bind_handler<extend_accumulator<uint32_t, uint16_t>>},
    {ZYDIS_MNEMONIC_CDQE, bind_handler<extend_accumulator<uint64_t, uint32_t>>},
    {ZYDIS_MNEMONIC_CWD, bind_handler<spread_sign<uint16_t>>},
    {ZYDIS_MNEMONIC_CDQ, bind_handler<spread_sign<uint32_t>>},
    {ZYDIS_MNEMONIC_CQO, bind_handler<spread_sign<uint64_t>>},
    {ZYDIS_MNEMONIC_BSWAP, bind_bswap},
    {ZYDIS_MNEMONIC_XLAT, bind_xlat},
};

}  // namespace

absl::Span<const Binding> convert_bindings() { return kBindings; }

}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/operands.h"

// AAA, AAS, AAM, AAD, DAA, DAS (SDM vol. 2) and BOUND: not in 64-bit mode, where the decoder
// refuses them. OF is left 0.

namespace gnomon::vmm {
namespace {

constexpr uint8_t kAl = 8 * kRax, kAh = kAl + 1;

// AL, with SF, ZF and PF from it.
void set_al(Cpu& cpu, uint8_t al, bool cf, bool af) {
  cpu.set_reg<uint8_t>(kAl, al);
  cpu.flags.logic(al);
  cpu.flags.set_cf_of(cf, false);
  cpu.flags.aux = af ? flag::kAF : 0;
}

template <bool subtract>
void adjust_packed(Cpu& cpu, const Op* op) {
  const auto al = cpu.reg<uint8_t>(kAl);
  const bool low = (al & 15) > 9 || cpu.flags.af();
  const bool high = al > 0x99 || cpu.flags.cf();
  const int by = (low ? 6 : 0) + (high ? 0x60 : 0);
  // DAS can borrow from the low digit's correction alone.
  const bool cf = high || (subtract && low && al < 6);
  set_al(cpu, static_cast<uint8_t>(subtract ? al - by : al + by), cf, low);
  return next(cpu, op);
}

template <bool subtract>
void adjust_unpacked(Cpu& cpu, const Op* op) {
  auto ax = cpu.reg<uint16_t>(kAl);
  const bool adjusts = (ax & 15) > 9 || cpu.flags.af();
  if (adjusts) ax = static_cast<uint16_t>(subtract ? ax - 0x106 : ax + 0x106);
  cpu.set_reg<uint8_t>(kAh, static_cast<uint8_t>(ax >> 8));
  set_al(cpu, ax & 15, adjusts, adjusts);
  return next(cpu, op);
}

void aam(Cpu& cpu, const Op* op) {
  const auto base = static_cast<uint8_t>(op->imm);
  if (base == 0) return fault(cpu, op, Fault::plain(kDivideError));
  const auto al = cpu.reg<uint8_t>(kAl);
  cpu.set_reg<uint8_t>(kAh, al / base);
  set_al(cpu, al % base, false, false);
  return next(cpu, op);
}
void aad(Cpu& cpu, const Op* op) {
  const uint64_t al = cpu.reg<uint8_t>(kAl) + cpu.reg<uint8_t>(kAh) * op->imm;
  cpu.set_reg<uint8_t>(kAh, 0);
  set_al(cpu, static_cast<uint8_t>(al), false, false);
  return next(cpu, op);
}

template <class T>
void bound(Cpu& cpu, const Op* op) {
  using S = std::make_signed_t<T>;
  T low;
  T high;
  const uint64_t second =
      cpu.linear(op->segment, (cpu.offset_of(op) + sizeof(T)) & op->address_mask);
  if (!cpu.memory.load(cpu.linear_of(op), low) || !cpu.memory.load(second, high))
    return memory_fault(cpu, op);
  const auto index = static_cast<S>(cpu.reg<T>(op->r1));
  if (index < static_cast<S>(low) || index > static_cast<S>(high)) {
    return fault(cpu, op, Fault::plain(kBoundRange));
  }
  return next(cpu, op);
}
bool bind_bound(const Decoded& d, Op& op) {
  op.run = d.bytes(0) == 2 ? bound<uint16_t> : bound<uint32_t>;
  return true;
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_DAA, bind_handler<adjust_packed<false>>},
    {ZYDIS_MNEMONIC_DAS, bind_handler<adjust_packed<true>>},
    {ZYDIS_MNEMONIC_AAA, bind_handler<adjust_unpacked<false>>},
    {ZYDIS_MNEMONIC_AAS, bind_handler<adjust_unpacked<true>>},
    {ZYDIS_MNEMONIC_AAM, bind_handler<aam>},
    {ZYDIS_MNEMONIC_AAD, bind_handler<aad>},
    {ZYDIS_MNEMONIC_BOUND, bind_bound},
};

}  // namespace

absl::Span<const Binding> decimal_bindings() { return kBindings; }

}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/operands.h"

// CMOVcc, SETcc, and the instructions that read or set flags directly.

namespace gnomon::vmm {
namespace {

// A load faults, and a 32-bit register is extended, whatever the condition.
template <unsigned code>
struct Cmov {
  static constexpr bool kStores = true;
  template <class T>
  static T compute(LazyFlags& flags, T a, T b) {
    return condition<code>(flags) ? b : a;
  }
};
template <unsigned code>
bool bind_cmov(const Decoded& d, Op& op) {
  return by_size(d.bytes(0), op, [&]<class T>(T) -> Handler {
    if constexpr (sizeof(T) == 1) {
      return nullptr;
    } else {
      return into_register<Cmov<code>, T>(d, op);
    }
  });
}

template <unsigned code>
void set_register(Cpu& cpu, const Op* op) {
  cpu.set_reg<uint8_t>(op->r1, condition<code>(cpu.flags));
  return next(cpu, op);
}
template <unsigned code>
void set_memory(Cpu& cpu, const Op* op) {
  if (!cpu.memory.store<uint8_t>(cpu.linear_of(op), condition<code>(cpu.flags)))
    return memory_fault(cpu, op);
  return next(cpu, op);
}
template <unsigned code>
bool bind_set(const Decoded& d, Op& op) {
  op.run = d.is_memory(0) ? set_memory<code> : set_register<code>;
  return true;
}

void clc(Cpu& cpu, const Op* op) {
  cpu.flags.set_cf(false);
  return next(cpu, op);
}
void stc(Cpu& cpu, const Op* op) {
  cpu.flags.set_cf(true);
  return next(cpu, op);
}
void cmc(Cpu& cpu, const Op* op) {
  cpu.flags.set_cf(!cpu.flags.cf());
  return next(cpu, op);
}
void cld(Cpu& cpu, const Op* op) {
  cpu.state.rflags &= ~flag::kDF;
  return next(cpu, op);
}
void std_(Cpu& cpu, const Op* op) {
  cpu.state.rflags |= flag::kDF;
  return next(cpu, op);
}
void lahf(Cpu& cpu, const Op* op) {
  cpu.set_reg<uint8_t>(8 * kRax + 1, static_cast<uint8_t>(cpu.flags.get() | flag::kOne));
  return next(cpu, op);
}
void sahf(Cpu& cpu, const Op* op) {
  const uint64_t of = cpu.flags.of() ? flag::kOF : 0;
  cpu.flags.set(cpu.reg<uint8_t>(8 * kRax + 1) | of);
  return next(cpu, op);
}
void salc(Cpu& cpu, const Op* op) {
  cpu.set_reg<uint8_t>(8 * kRax, cpu.flags.cf() ? 0xff : 0);
  return next(cpu, op);
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_CMOVO, bind_cmov<0>},      {ZYDIS_MNEMONIC_CMOVNO, bind_cmov<1>},
    {ZYDIS_MNEMONIC_CMOVB, bind_cmov<2>},      {ZYDIS_MNEMONIC_CMOVNB, bind_cmov<3>},
    {ZYDIS_MNEMONIC_CMOVZ, bind_cmov<4>},      {ZYDIS_MNEMONIC_CMOVNZ, bind_cmov<5>},
    {ZYDIS_MNEMONIC_CMOVBE, bind_cmov<6>},     {ZYDIS_MNEMONIC_CMOVNBE, bind_cmov<7>},
    {ZYDIS_MNEMONIC_CMOVS, bind_cmov<8>},      {ZYDIS_MNEMONIC_CMOVNS, bind_cmov<9>},
    {ZYDIS_MNEMONIC_CMOVP, bind_cmov<10>},     {ZYDIS_MNEMONIC_CMOVNP, bind_cmov<11>},
    {ZYDIS_MNEMONIC_CMOVL, bind_cmov<12>},     {ZYDIS_MNEMONIC_CMOVNL, bind_cmov<13>},
    {ZYDIS_MNEMONIC_CMOVLE, bind_cmov<14>},    {ZYDIS_MNEMONIC_CMOVNLE, bind_cmov<15>},
    {ZYDIS_MNEMONIC_SETO, bind_set<0>},        {ZYDIS_MNEMONIC_SETNO, bind_set<1>},
    {ZYDIS_MNEMONIC_SETB, bind_set<2>},        {ZYDIS_MNEMONIC_SETNB, bind_set<3>},
    {ZYDIS_MNEMONIC_SETZ, bind_set<4>},        {ZYDIS_MNEMONIC_SETNZ, bind_set<5>},
    {ZYDIS_MNEMONIC_SETBE, bind_set<6>},       {ZYDIS_MNEMONIC_SETNBE, bind_set<7>},
    {ZYDIS_MNEMONIC_SETS, bind_set<8>},        {ZYDIS_MNEMONIC_SETNS, bind_set<9>},
    {ZYDIS_MNEMONIC_SETP, bind_set<10>},       {ZYDIS_MNEMONIC_SETNP, bind_set<11>},
    {ZYDIS_MNEMONIC_SETL, bind_set<12>},       {ZYDIS_MNEMONIC_SETNL, bind_set<13>},
    {ZYDIS_MNEMONIC_SETLE, bind_set<14>},      {ZYDIS_MNEMONIC_SETNLE, bind_set<15>},
    {ZYDIS_MNEMONIC_CLC, bind_handler<clc>},   {ZYDIS_MNEMONIC_STC, bind_handler<stc>},
    {ZYDIS_MNEMONIC_CMC, bind_handler<cmc>},   {ZYDIS_MNEMONIC_CLD, bind_handler<cld>},
    {ZYDIS_MNEMONIC_STD, bind_handler<std_>},  {ZYDIS_MNEMONIC_LAHF, bind_handler<lahf>},
    {ZYDIS_MNEMONIC_SAHF, bind_handler<sahf>}, {ZYDIS_MNEMONIC_SALC, bind_handler<salc>},
};

}  // namespace

absl::Span<const Binding> condition_bindings() { return kBindings; }

}  // namespace gnomon::vmm

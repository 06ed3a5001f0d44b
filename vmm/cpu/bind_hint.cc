// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/operands.h"

// Instructions that do nothing here: NOP, hints, fences, cache control.

namespace gnomon::vmm {
namespace {

void nothing(Cpu& cpu, const Op* op) { return next(cpu, op); }

bool bind_nothing(const Decoded&, Op& op) {
  no_access(op);
  op.run = nothing;
  return true;
}

// Faults as a load of one byte does, whatever size the decoder gives it.
void clflush(Cpu& cpu, const Op* op) {
  const uint64_t offset = cpu.offset_of(op);
  if (!may_access(cpu, op->segment, offset, 1, false))
    return fault(cpu, op, segment_fault(op->segment));
  uint8_t ignored;
  if (!cpu.memory.load(cpu.linear(op->segment, offset), ignored)) return memory_fault(cpu, op);
  return next(cpu, op);
}
bool bind_clflush(const Decoded&, Op& op) {
  no_access(op);  // that is, the handler checks the segment
  op.run = clflush;
  return true;
}

constexpr Binding kBindings[] = {
    {ZYDIS_MNEMONIC_NOP, bind_nothing},
    {ZYDIS_MNEMONIC_PAUSE, bind_nothing},
    {ZYDIS_MNEMONIC_LFENCE, bind_nothing},
    {ZYDIS_MNEMONIC_MFENCE, bind_nothing},
    {ZYDIS_MNEMONIC_SFENCE, bind_nothing},
    {ZYDIS_MNEMONIC_PREFETCH, bind_nothing},
    {ZYDIS_MNEMONIC_PREFETCHW, bind_nothing},
    {ZYDIS_MNEMONIC_PREFETCHWT1, bind_nothing},
    {ZYDIS_MNEMONIC_PREFETCHNTA, bind_nothing},
    {ZYDIS_MNEMONIC_PREFETCHT0, bind_nothing},
    {ZYDIS_MNEMONIC_PREFETCHT1, bind_nothing},
    {ZYDIS_MNEMONIC_PREFETCHT2, bind_nothing},
    {ZYDIS_MNEMONIC_CLFLUSH, bind_clflush},
    // Encodings that are NOPs for processors without CET and CLDEMOTE.
    {ZYDIS_MNEMONIC_ENDBR32, bind_nothing},
    {ZYDIS_MNEMONIC_ENDBR64, bind_nothing},
    {ZYDIS_MNEMONIC_RDSSPD, bind_nothing},
    {ZYDIS_MNEMONIC_RDSSPQ, bind_nothing},
    {ZYDIS_MNEMONIC_CLDEMOTE, bind_nothing},
};

}  // namespace

absl::Span<const Binding> hint_bindings() { return kBindings; }

}  // namespace gnomon::vmm

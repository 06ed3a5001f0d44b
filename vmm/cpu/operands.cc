// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/operands.h"

namespace gnomon::vmm {
namespace {

// `choose` with a number of the operation's size.
template <class Choose>
auto with_size(const Op* op, Choose&& choose) {
  switch (op->size) {
    case 1: return choose(uint8_t{});
    case 2: return choose(uint16_t{});
    case 4: return choose(uint32_t{});
    default: return choose(uint64_t{});
  }
}

bool load(Cpu& cpu, const Op* op, bool for_store, uint64_t& value) {
  const uint64_t at = cpu.linear_of(op);
  return with_size(op, [&]<class T>(T part) {
    const bool loaded = for_store ? cpu.memory.load_for_store(at, part) : cpu.memory.load(at, part);
    value = part;
    return loaded;
  });
}

uint64_t value_of(const Cpu& cpu, const Op* op, uint8_t r) {
  return with_size(op, [&]<class T>(T) -> uint64_t { return cpu.reg<T>(r); });
}

}  // namespace

void register_memory_slow(Cpu& cpu, const Op* op, Compute compute, bool stores) {
  uint64_t b = 0;
  if (!load(cpu, op, false, b)) return memory_fault(cpu, op);
  const uint64_t r = compute(cpu.flags, value_of(cpu, op, op->r1), b);
  if (stores) with_size(op, [&]<class T>(T) { cpu.set_reg<T>(op->r1, static_cast<T>(r)); });
  return next(cpu, op);
}

// The flags change only if the store succeeds.
void memory_other_slow(Cpu& cpu, const Op* op, Compute compute, bool stores, Source source) {
  uint64_t a = 0;
  if (!load(cpu, op, stores, a)) return memory_fault(cpu, op);
  LazyFlags flags = cpu.flags;
  const uint64_t b = source == Source::kImmediate ? op->imm : value_of(cpu, op, op->r1);
  const uint64_t r = compute(flags, a, b);
  if (stores) {
    const uint64_t at = cpu.linear_of(op);
    const bool stored =
        with_size(op, [&]<class T>(T) { return cpu.memory.store(at, static_cast<T>(r)); });
    if (!stored) return memory_fault(cpu, op);
  }
  cpu.flags = flags;
  return next(cpu, op);
}

}  // namespace gnomon::vmm

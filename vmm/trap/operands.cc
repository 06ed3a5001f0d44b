// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/instruction.h"

namespace gnomon::vmm::trap {
namespace {

bool operand_at(Instruction& in, uint64_t offset, unsigned size, bool store, uint64_t& linear) {
  const uint64_t at = (in.cpu.offset_of(&in.op) + offset) & in.op.address_mask;
  if (!may_access(in.cpu, in.op.segment, at, size, store)) {
    return fail(in.cpu, segment_fault(in.op.segment));
  }
  linear = in.cpu.linear(in.op.segment, at);
  return true;
}

}  // namespace

bool load_operand(Instruction& in, uint64_t offset, unsigned size, uint64_t& value) {
  uint64_t linear = 0;
  value = 0;
  return operand_at(in, offset, size, false, linear) &&
         (in.cpu.memory.load_bytes(linear, &value, size, in.cpu.memory.privilege()) ||
          memory_failed(in.cpu, in.op.segment == kSs));
}

bool store_operand(Instruction& in, uint64_t offset, unsigned size, uint64_t value) {
  uint64_t linear = 0;
  return operand_at(in, offset, size, true, linear) &&
         (in.cpu.memory.store_bytes(linear, &value, size, in.cpu.memory.privilege()) ||
          memory_failed(in.cpu, in.op.segment == kSs));
}

bool probe_operand(Instruction& in, unsigned size) {
  uint64_t linear = 0;
  return operand_at(in, 0, size, true, linear) &&
         (in.cpu.memory.probe_store(linear, size, in.cpu.memory.privilege()) ||
          memory_failed(in.cpu, in.op.segment == kSs));
}

bool load_rm(Instruction& in, uint8_t reg, unsigned size, uint64_t& value) {
  if (in.in_memory()) return load_operand(in, 0, size, value);
  value = get_register(in.cpu, reg, size);
  return true;
}

bool store_rm16(Instruction& in, uint8_t reg, uint64_t value) {
  if (in.in_memory()) return store_operand(in, 0, 2, value);
  set_register(in.cpu, reg, in.op.size, value);
  return true;
}

uint64_t get_register(const Cpu& cpu, uint8_t reg, unsigned size) {
  return cpu.reg<uint64_t>(static_cast<uint8_t>(reg & ~7)) >> 8 * (reg & 7) & size_mask(size);
}

void set_register(Cpu& cpu, uint8_t reg, unsigned size, uint64_t value) {
  switch (size) {
    case 1: return cpu.set_reg(reg, static_cast<uint8_t>(value));
    case 2: return cpu.set_reg(reg, static_cast<uint16_t>(value));
    case 4: return cpu.set_reg(reg, static_cast<uint32_t>(value));
    default: return cpu.set_reg(reg, value);
  }
}

}  // namespace gnomon::vmm::trap

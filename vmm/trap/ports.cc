// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/instructions.h"
#include "vmm/trap/task_state.h"

// IN, OUT, INS, OUTS (SDM vol. 1, chapter 18).

namespace gnomon::vmm::trap {
namespace {

// Of a repeated instruction in one go: bounded, so that interrupts get their turn.
constexpr unsigned kChunk = 128;

uint16_t port_of(const Instruction& in) {
  return static_cast<uint16_t>(in.form(sensitive_form::kImmediate) ? in.op.imm & 0xff
                                                                   : in.cpu.gpr[kRdx]);
}

uint64_t masked(const Instruction& in, unsigned reg) {
  return in.cpu.gpr[reg] & in.op.address_mask;
}

// Sets the bits of a register that the address size covers.
void set_masked(Instruction& in, unsigned reg, uint64_t value) {
  const uint64_t mask = in.op.address_mask;
  uint64_t& r = in.cpu.gpr[reg];
  r = mask == 0xffff ? (r & ~mask) | (value & mask) : value & mask;
}

// One element from (into) port space; moves the index register.
bool element_in(Instruction& in, uint16_t port) {
  Cpu& cpu = in.cpu;
  const unsigned size = in.op.size;
  const uint64_t offset = masked(in, kRdi);
  if (!may_access(cpu, kEs, offset, size, true)) return general_protection(cpu);
  const uint64_t linear = cpu.linear(kEs, offset);
  // A device register may change by being read: first see that there is a place for the value.
  if (!cpu.memory.probe_store(linear, size, cpu.memory.privilege())) return memory_failed(cpu);
  const uint64_t value = in.environment.port_read(cpu, port, size);
  if (!cpu.memory.store_bytes(linear, &value, size, cpu.memory.privilege()))
    return memory_failed(cpu);
  const uint64_t step = (cpu.state.rflags & flag::kDF) != 0 ? 0 - uint64_t{size} : size;
  set_masked(in, kRdi, offset + step);
  return true;
}

bool element_out(Instruction& in, uint16_t port) {
  Cpu& cpu = in.cpu;
  const unsigned size = in.op.size;
  const uint64_t offset = masked(in, kRsi);
  const unsigned segment = in.op.segment;
  if (!may_access(cpu, segment, offset, size, false)) return fail(cpu, segment_fault(segment));
  uint64_t value = 0;
  if (!cpu.memory.load_bytes(cpu.linear(segment, offset), &value, size, cpu.memory.privilege())) {
    return memory_failed(cpu, segment == kSs);
  }
  in.environment.port_write(cpu, port, size, value);
  const uint64_t step = (cpu.state.rflags & flag::kDF) != 0 ? 0 - uint64_t{size} : size;
  set_masked(in, kRsi, offset + step);
  return true;
}

bool string(Instruction& in, bool (*element)(Instruction&, uint16_t)) {
  Cpu& cpu = in.cpu;
  const auto port = static_cast<uint16_t>(cpu.gpr[kRdx]);
  if (!port_allowed(cpu, port, in.op.size)) return false;
  if ((in.op.flags & (op_flag::kRep | op_flag::kRepne)) == 0) return element(in, port);
  const bool single = (cpu.state.rflags & flag::kTF) != 0;
  uint64_t left = masked(in, kRcx);
  for (unsigned n = 0; left != 0 && n < (single ? 1 : kChunk); ++n) {
    if (!element(in, port)) return false;
    set_masked(in, kRcx, --left);
  }
  in.repeats = left != 0;
  return true;
}

}  // namespace

bool port_in(Instruction& in) {
  const uint16_t port = port_of(in);
  if (!port_allowed(in.cpu, port, in.op.size)) return false;
  set_register(in.cpu, 8 * kRax, in.op.size, in.environment.port_read(in.cpu, port, in.op.size));
  return true;
}

bool port_out(Instruction& in) {
  const uint16_t port = port_of(in);
  if (!port_allowed(in.cpu, port, in.op.size)) return false;
  in.environment.port_write(in.cpu, port, in.op.size, get_register(in.cpu, 8 * kRax, in.op.size));
  return true;
}

bool port_in_string(Instruction& in) { return string(in, element_in); }
bool port_out_string(Instruction& in) { return string(in, element_out); }

}  // namespace gnomon::vmm::trap

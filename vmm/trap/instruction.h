// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_INSTRUCTION_H_
#define VMM_TRAP_INSTRUCTION_H_

#include <cstdint>

#include "vmm/cpu/sensitive.h"
#include "vmm/trap/trap.h"

// What the emulated instructions have in common.

namespace gnomon::vmm::trap {

/// The instruction being emulated.
struct Instruction {
  Cpu& cpu;
  const Op& op;
  TrapEnvironment& environment;
  const TrapPolicy& policy;
  uint64_t next;          ///< RIP after it; a transfer of control changes it
  bool repeats = false;   ///< not finished: RIP stays
  bool keeps_rf = false;  ///< has loaded RFLAGS.RF
  bool no_step = false;   ///< no single-step trap after it
  bool steps = false;     ///< one, if not: TF was set before it
  bool halts = false;

  bool form(uint8_t bit) const { return (op.r3 & bit) != 0; }
  bool in_memory() const { return form(sensitive_form::kMemory); }
};

/// Executes the instruction. False: it faults with Cpu::exit.fault, and has changed nothing.
using Emulate = bool (*)(Instruction& in);

inline bool fail(Cpu& cpu, const Fault& fault) {
  cpu.exit.fault = fault;
  return false;
}
inline bool general_protection(Cpu& cpu, uint32_t error = 0) { return fail(cpu, Fault::gp(error)); }
inline bool undefined(Cpu& cpu) { return fail(cpu, Fault::plain(kInvalidOpcode)); }
/// What MemoryPath::fault says.
inline bool memory_failed(Cpu& cpu, bool stack = false) {
  cpu.exit.fault = cpu.memory.fault;
  if (cpu.exit.fault.non_canonical && stack) cpu.exit.fault.vector = kStackFault;
  return false;
}

inline uint64_t size_mask(unsigned bytes) {
  return bytes == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * bytes) - 1;
}
/// Can a linear address be used with the paging in force, or (paging off) with 4-level paging?
inline bool canonical(const Cpu& cpu, uint64_t va) {
  const unsigned top = (cpu.controls().cr4 & cr4::kLA57) != 0 ? 56 : 47;
  const uint64_t high = static_cast<uint64_t>(static_cast<int64_t>(va) >> top);
  return high == 0 || high == ~uint64_t{0};
}
inline unsigned iopl(const Cpu& cpu) { return static_cast<unsigned>(cpu.state.rflags >> 12 & 3); }

/// Linear addresses of system structures: 64 bits in compatibility mode, too.
inline uint64_t system_linear(const Cpu& cpu, uint64_t linear) {
  return cpu.long_mode() ? linear : linear & 0xffff'ffff;
}
/// Reads and writes `size` bytes at such an address; fails as MemoryPath does.
inline bool read(Cpu& cpu, uint64_t linear, unsigned size, uint64_t& value, Privilege by) {
  value = 0;
  return cpu.memory.load_bytes(system_linear(cpu, linear), &value, size, by) || memory_failed(cpu);
}
inline bool write(Cpu& cpu, uint64_t linear, unsigned size, uint64_t value, Privilege by) {
  return cpu.memory.store_bytes(system_linear(cpu, linear), &value, size, by) || memory_failed(cpu);
}

/// The explicit memory operand, `offset` bytes into it: checked against its segment.
bool load_operand(Instruction& in, uint64_t offset, unsigned size, uint64_t& value);
bool store_operand(Instruction& in, uint64_t offset, unsigned size, uint64_t value);
/// May all of the operand be stored to?
bool probe_operand(Instruction& in, unsigned size);
/// A register or memory operand of so many bytes, which is the only one that may be memory.
bool load_rm(Instruction& in, uint8_t reg, unsigned size, uint64_t& value);
/// Stores 16 bits to memory, or `size` bytes to the register.
bool store_rm16(Instruction& in, uint8_t reg, uint64_t value);
/// A general register's low `size` bytes, and back (4 bytes clear the upper half).
uint64_t get_register(const Cpu& cpu, uint8_t reg, unsigned size);
void set_register(Cpu& cpu, uint8_t reg, unsigned size, uint64_t value);

}  // namespace gnomon::vmm::trap

#endif  // VMM_TRAP_INSTRUCTION_H_

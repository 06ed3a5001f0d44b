// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/control_registers.h"
#include "vmm/trap/instructions.h"
#include "vmm/trap/time.h"

// HLT, caches, time, protection keys, hypercalls, and what this processor does not have.

namespace gnomon::vmm::trap {

bool halt(Instruction& in) {
  in.cpu.state.halted = true;
  in.halts = true;
  return true;
}

// There is no cache to write back, or to lose.
bool write_back_caches(Instruction&) { return true; }

bool time_stamp(Instruction& in) {
  Cpu& cpu = in.cpu;
  const bool denied =
      cpu.protected_mode() && cpu.state.cpl != 0 && (cpu.controls().cr4 & control::kTSD) != 0;
  if (denied) return general_protection(cpu);
  const uint64_t now = time_now(in);
  cpu.gpr[kRax] = now & 0xffff'ffff;
  cpu.gpr[kRdx] = now >> 32;
  if (in.op.code == ZYDIS_MNEMONIC_RDTSCP) cpu.gpr[kRcx] = cpu.state.msrs.tsc_aux & 0xffff'ffff;
  return true;
}

bool read_processor_id(Instruction& in) {
  set_register(in.cpu, in.op.r1, in.cpu.code64() ? 8 : 4, in.cpu.state.msrs.tsc_aux);
  return true;
}

// No counter has a valid number.
bool no_performance_counter(Instruction& in) { return general_protection(in.cpu); }

bool keys(Instruction& in) {
  Cpu& cpu = in.cpu;
  if ((cpu.controls().cr4 & cr4::kPKE) == 0) return undefined(cpu);
  const bool writes = in.op.code == ZYDIS_MNEMONIC_WRPKRU;
  if ((cpu.gpr[kRcx] & 0xffff'ffff) != 0) return general_protection(cpu);
  if (!writes) {
    cpu.gpr[kRax] = cpu.controls().pkru;
    cpu.gpr[kRdx] = 0;
    return true;
  }
  if ((cpu.gpr[kRdx] & 0xffff'ffff) != 0) return general_protection(cpu);
  cpu.mmu().write_pkru(static_cast<uint32_t>(cpu.gpr[kRax]));
  cpu.memory.flush();
  return true;
}

bool hypercall(Instruction& in) { return in.environment.hypercall(in.cpu) || undefined(in.cpu); }

bool no_such_instruction(Instruction& in) { return undefined(in.cpu); }

}  // namespace gnomon::vmm::trap

// SPDX-License-Identifier: Apache-2.0
#include "vmm/trap/instructions.h"

// INVLPG and INVPCID.

namespace gnomon::vmm::trap {

bool invalidate_page(Instruction& in) {
  Cpu& cpu = in.cpu;
  if (!in.in_memory()) return undefined(cpu);
  const uint64_t linear = cpu.linear_of(&in.op);
  if (cpu.code64() && !canonical(cpu, linear)) return true;  // nothing can be cached for it
  cpu.memory.invlpg(linear);
  return true;
}

bool invalidate_context(Instruction& in) {
  Cpu& cpu = in.cpu;
  const uint64_t type = get_register(cpu, in.op.r1, cpu.code64() ? 8 : 4);
  uint64_t pcid = 0;
  uint64_t address = 0;
  if (!load_operand(in, 0, 8, pcid) || !load_operand(in, 8, 8, address)) return false;
  if (type > 3) return general_protection(cpu);
  if (!cpu.memory.invpcid(static_cast<InvpcidType>(type), pcid, address))
    return general_protection(cpu);
  return true;
}

}  // namespace gnomon::vmm::trap

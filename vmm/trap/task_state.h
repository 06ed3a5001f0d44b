// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_TASK_STATE_H_
#define VMM_TRAP_TASK_STATE_H_

#include <cstdint>

#include "vmm/trap/instruction.h"

// What the processor reads from the task-state segment (SDM vol. 3, 7.2, 7.6 and 7.7): stacks of
// inner levels, and which ports an outer level may use. Tasks are not switched.

namespace gnomon::vmm::trap {

/// SS and (E)SP for level `cpl` from a 16- or 32-bit TSS. Faults: #TS with TR's selector, or of the
/// access.
bool task_stack(Cpu& cpu, unsigned cpl, uint32_t ext, uint16_t& ss, uint64_t& sp);
/// RSP for level `cpl`, and interrupt stack 1 to 7, from a 64-bit TSS.
bool task_stack64(Cpu& cpu, unsigned cpl, uint32_t ext, uint64_t& rsp);
bool task_interrupt_stack(Cpu& cpu, unsigned number, uint32_t ext, uint64_t& rsp);
/// May these ports be used, by IOPL or by the I/O permission bit map? Else #GP(0).
bool port_allowed(Cpu& cpu, uint16_t port, unsigned size);

}  // namespace gnomon::vmm::trap

#endif  // VMM_TRAP_TASK_STATE_H_

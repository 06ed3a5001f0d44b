// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_TIME_H_
#define VMM_TRAP_TIME_H_

#include "vmm/trap/instruction.h"

namespace gnomon::vmm::trap {

/// The time-stamp counter as the guest sees it.
inline uint64_t time_now(Instruction& in) {
  return in.environment.time_stamp(in.cpu) + in.cpu.state.msrs.tsc_offset;
}

}  // namespace gnomon::vmm::trap

#endif  // VMM_TRAP_TIME_H_

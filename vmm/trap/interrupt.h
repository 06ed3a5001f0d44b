// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_INTERRUPT_H_
#define VMM_TRAP_INTERRUPT_H_

#include "vmm/trap/trap.h"

namespace gnomon::vmm::trap {

/// One entry into a handler of the guest.
struct Entry {
  uint8_t vector = 0;
  bool has_error = false;
  uint32_t error = 0;
  bool software = false;  ///< INT n and relatives: the gate's privilege level is checked, EXT is 0
  uint64_t return_rip = 0;
  uint64_t saved_flags = 0;
};

/// Goes there; sets RIP. False: it faults with Cpu::exit.fault, and no register has changed.
bool enter_handler(Cpu& cpu, const Entry& entry);

/// What a fault during the delivery of another event makes of the two.
enum class Combined : uint8_t {
  kSecond,  ///< the second one is delivered
  kDoubleFault,
  kShutdown,
};
Combined combine(bool first_is_exception, uint8_t first, uint8_t second);

}  // namespace gnomon::vmm::trap

#endif  // VMM_TRAP_INTERRUPT_H_

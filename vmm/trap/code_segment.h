// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_CODE_SEGMENT_H_
#define VMM_TRAP_CODE_SEGMENT_H_

#include "vmm/trap/descriptors.h"

namespace gnomon::vmm::trap {

/// In long mode a code segment is 64-bit or 32-bit code, not both.
inline bool valid_size(const Cpu& cpu, const Descriptor& d) {
  return !cpu.long_mode() || !d.code64() || (d.attributes() & seg::kDB) == 0;
}
/// Is `rip` within the code segment (64-bit code: canonical)?
inline bool ip_fits(const Cpu& cpu, const Descriptor& d, uint64_t rip) {
  return cpu.long_mode() && d.code64() ? canonical(cpu, rip) : rip <= d.limit();
}
/// The code segment that IRET and RETF return to, with their checks (SDM vol. 2, RET).
bool check_return_segment(Cpu& cpu, uint16_t selector, Descriptor& d);
/// The stack segment that they return to at level `cpl`, when the code there is `code`. A null one
/// is left to 64-bit kernels.
bool check_return_stack(Cpu& cpu, uint16_t selector, unsigned cpl, const Descriptor& code,
                        Segment& ss);
/// Loads CS and the privilege level. The caller calls Cpu::mode_changed().
void set_code_segment(Cpu& cpu, const Descriptor& d, uint16_t selector, unsigned cpl);
/// Going outward: segments that the new level may not use become null ones.
void drop_inner_segments(Cpu& cpu);

}  // namespace gnomon::vmm::trap

#endif  // VMM_TRAP_CODE_SEGMENT_H_

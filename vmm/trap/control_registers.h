// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_CONTROL_REGISTERS_H_
#define VMM_TRAP_CONTROL_REGISTERS_H_

#include <cstdint>

#include "vmm/cpu/cpu.h"

namespace gnomon::vmm::trap {

namespace control {
// CR0, but for those in gnomon::cr0.
inline constexpr uint64_t kMP = 1u << 1, kEM = 1u << 2, kTS = 1u << 3, kET = 1u << 4, kNE = 1u << 5,
                          kAM = 1u << 18, kNW = 1u << 29, kCD = 1u << 30;
// CR4, likewise.
inline constexpr uint64_t kTSD = 1u << 2, kDE = 1u << 3, kPCE = 1u << 8, kOSFXSR = 1u << 9,
                          kOSXMMEXCPT = 1u << 10, kUMIP = 1u << 11, kFSGSBASE = 1u << 16;
// EFER, likewise.
inline constexpr uint64_t kSCE = 1u << 0;
}  // namespace control

/// Does CR4.UMIP keep this level from SGDT, SIDT, SLDT, STR and SMSW?
inline bool prevented(const Cpu& cpu) {
  return cpu.state.cpl != 0 && (cpu.controls().cr4 & control::kUMIP) != 0;
}

/// Sets CR0, CR4 and EFER as far as these are what the processor allows, and whatever follows from
/// a change. False: #GP, and nothing has changed.
bool set_controls(Cpu& cpu, uint64_t cr0, uint64_t cr4, uint64_t efer);

/// As MOV to CR3. False: #GP, and nothing has changed.
bool load_cr3(Cpu& cpu, uint64_t value);

}  // namespace gnomon::vmm::trap

#endif  // VMM_TRAP_CONTROL_REGISTERS_H_

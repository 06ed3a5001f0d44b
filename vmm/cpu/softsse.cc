// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/softsse.h"

namespace gnomon::vmm {

bool take_simd_flags(Cpu& cpu, const Op* op, uint32_t flags) {
  constexpr uint64_t kSimdExceptions = 1u << 10;  // CR4.OSXMMEXCPT
  const uint32_t masks = cpu.state.mxcsr >> mxcsr::kMaskShift & mxcsr::kFlags;
  // What is found before the operation prevents it, and what it would have met (SDM vol.
  // 1, 11.5.4).
  if ((flags & ~masks & mxcsr::kBefore) != 0) flags &= mxcsr::kBefore;
  cpu.state.mxcsr |= flags;
  if ((flags & ~masks) == 0) return true;
  const bool wanted = (cpu.controls().cr4 & kSimdExceptions) != 0;
  fault(cpu, op, Fault::plain(wanted ? kSimdError : kInvalidOpcode));
  return false;
}

}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_CPUID_H_
#define VMM_TRAP_CPUID_H_

#include <cstdint>

#include "vmm/trap/trap.h"

namespace gnomon::vmm::trap {

/// CPUID.01H:EAX: family 6, model 0FH, stepping 11. See cpuid.cc.
inline constexpr uint32_t kSignature = 0x6fb;

struct CpuidLeaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  friend bool operator==(const CpuidLeaf&, const CpuidLeaf&) = default;
};
/// What CPUID answers for EAX = `leaf` and ECX = `subleaf`.
CpuidLeaf cpuid_leaf(const Cpu& cpu, Board& board, uint32_t leaf, uint32_t subleaf);

}  // namespace gnomon::vmm::trap

#endif  // VMM_TRAP_CPUID_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_FAULT_H_
#define VMM_CPU_FAULT_H_

#include <cstdint>

namespace gnomon::vmm {

/// Exception vectors (SDM vol. 3, table 6-1).
enum Vector : uint8_t {
  kDivideError = 0,
  kDebug = 1,
  kNmi = 2,
  kBreakpoint = 3,
  kOverflow = 4,
  kBoundRange = 5,
  kInvalidOpcode = 6,
  kDeviceNotAvailable = 7,
  kDoubleFault = 8,
  kInvalidTss = 10,
  kSegmentNotPresent = 11,
  kStackFault = 12,
  kGeneralProtection = 13,
  kPageFault = 14,
  kX87Error = 16,
  kAlignmentCheck = 17,
  kMachineCheck = 18,
  kSimdError = 19,
};

/// A fault that an instruction met: the instruction has changed nothing that the guest can see (but
/// for what restartable instructions have done), and RIP is to be that of the instruction.
struct Fault {
  uint8_t vector = 0;
  bool has_error = false;
  uint32_t error = 0;
  uint64_t cr2 = 0;  ///< page faults only
  bool non_canonical =
      false;  ///< a #GP because of an address that is not canonical: #SS if it came by way of SS

  static constexpr Fault plain(uint8_t vector) { return {vector, false, 0, 0, false}; }
  static constexpr Fault with_error(uint8_t vector, uint32_t error) {
    return {vector, true, error, 0, false};
  }
  static constexpr Fault gp(uint32_t error = 0) { return with_error(kGeneralProtection, error); }
};

}  // namespace gnomon::vmm

#endif  // VMM_CPU_FAULT_H_

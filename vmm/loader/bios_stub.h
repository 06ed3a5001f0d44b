// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_BIOS_STUB_H_
#define VMM_LOADER_BIOS_STUB_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "vmm/loader/placement.h"

namespace gnomon::vmm {

/// Puts the little of a PC BIOS that there is into memory, and the 256 interrupt vectors at 0 that
/// lead there: memory size (INT 12h; INT 15h with AH=88h, AX=E801h, AX=E820h), a failing INT 13h,
/// ends of hardware interrupts, IRET for all else. Its address.
absl::StatusOr<uint64_t> place_bios_stub(Placement& placement);

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_BIOS_STUB_H_

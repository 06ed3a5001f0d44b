// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_BOARD_FIRMWARE_TABLES_H_
#define VMM_BOARD_FIRMWARE_TABLES_H_

#include "absl/status/status.h"
#include "gnomon/vmm/board.h"
#include "gnomon/vmm/guest_memory.h"

namespace gnomon::vmm {

/// What a PC's firmware has left in memory when a boot loader starts: BIOS data area and EBDA, the
/// MP table, the ACPI tables, a blank text screen. There is no code of a BIOS. ResourceExhausted:
/// not all of that is RAM.
absl::Status place_firmware_tables(const BoardOptions& options, uint8_t io_apic_id,
                                   GuestMemory& memory);

}  // namespace gnomon::vmm

#endif  // VMM_BOARD_FIRMWARE_TABLES_H_

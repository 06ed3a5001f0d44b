// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_BOARD_ACPI_TABLES_H_
#define VMM_BOARD_ACPI_TABLES_H_

#include <cstdint>
#include <vector>

namespace gnomon::vmm {

/// The ACPI tables of the board `pc` (ACPI 6.5, chapter 5), to lie at `base`, a multiple of 64:
/// root pointer (which is what guests look for), RSDT, XSDT, FADT, MADT, FACS, and a DSDT which
/// says how to power off and no more.
std::vector<uint8_t> acpi_tables(uint32_t base, unsigned cpus, uint8_t io_apic_id);

}  // namespace gnomon::vmm

#endif  // VMM_BOARD_ACPI_TABLES_H_

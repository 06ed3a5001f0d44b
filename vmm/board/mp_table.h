// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_BOARD_MP_TABLE_H_
#define VMM_BOARD_MP_TABLE_H_

#include <array>
#include <cstdint>
#include <vector>

namespace gnomon::vmm {

/// The MP configuration table (Intel MultiProcessor Specification 1.4, chapter 4) of a board with
/// these processors and one I/O APIC of this ID, in virtual wire mode; its bytes.
std::vector<uint8_t> mp_configuration_table(unsigned cpus, uint8_t io_apic_id);

/// The MP floating pointer structure (4.1) for a table at this address.
std::array<uint8_t, 16> mp_floating_pointer(uint32_t table_address);

}  // namespace gnomon::vmm

#endif  // VMM_BOARD_MP_TABLE_H_

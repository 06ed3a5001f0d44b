// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_BOARD_MEMORY_MAP_H_
#define VMM_BOARD_MEMORY_MAP_H_

#include <cstdint>
#include <vector>

#include "gnomon/vmm/board.h"

namespace gnomon::vmm {

inline constexpr uint64_t kMemoryHole = uint64_t{3} << 30;  ///< RAM below ends here at the latest
inline constexpr uint64_t kHighMemory = uint64_t{4} << 30;  ///< and goes on here
inline constexpr uint64_t kExtendedBios = 0x9'fc00;         ///< the EBDA, up to 640 KiB
inline constexpr uint64_t kVideoMemory = 0xa'0000;
inline constexpr uint64_t kFirmware = 0xf'0000;  ///< tables of the firmware, up to 1 MiB

/// All of RAM is usable.
std::vector<MemoryRange> plain_memory_map(uint64_t memory_bytes);
/// As a PC's firmware reports it (E820). At least 1 MiB.
std::vector<MemoryRange> pc_memory_map(uint64_t memory_bytes);

}  // namespace gnomon::vmm

#endif  // VMM_BOARD_MEMORY_MAP_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_IDE_IDENTIFY_H_
#define VMM_DEVICES_IDE_IDENTIFY_H_

#include <array>
#include <cstdint>

namespace gnomon::vmm {

/// How cylinders, heads and sectors number the sectors of a disk.
struct DiskGeometry {
  uint32_t cylinders = 0, heads = 16, sectors = 63;
  friend bool operator==(const DiskGeometry&, const DiskGeometry&) = default;
};

/// What a disk of this size reports: 16 heads of 63 sectors, at most 16383 cylinders. At least one
/// cylinder, though the disk may be smaller.
DiskGeometry default_geometry(uint64_t sectors);
/// Cylinders that remain for these heads and sectors (INITIALIZE DEVICE PARAMETERS).
DiskGeometry translated_geometry(uint64_t disk_sectors, uint32_t heads, uint32_t sectors);

inline constexpr unsigned kMostSectorsPerBlock = 16;  ///< of READ and WRITE MULTIPLE

/// The answer to IDENTIFY DEVICE (ATA/ATAPI-6, 8.15) as 256 words, lowest byte first.
std::array<uint8_t, 512> identify_device(uint64_t sectors, unsigned number,
                                         const DiskGeometry& current, unsigned sectors_per_block);

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_IDE_IDENTIFY_H_

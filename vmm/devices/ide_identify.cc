// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/ide_identify.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace gnomon::vmm {
namespace {

class Words {
 public:
  void put(unsigned word, uint64_t value, unsigned words = 1) {
    for (unsigned i = 0; i < 2 * words; ++i) {
      bytes_[2 * word + i] = static_cast<uint8_t>(value >> (8 * i));
    }
  }
  // Text has the first character in the high byte of its word, and is padded with blanks.
  void put_text(unsigned word, unsigned words, absl::string_view text) {
    for (unsigned i = 0; i < 2 * words; ++i) {
      bytes_[2 * word + (i ^ 1)] = static_cast<uint8_t>(i < text.size() ? text[i] : ' ');
    }
  }
  const std::array<uint8_t, 512>& bytes() const { return bytes_; }

 private:
  std::array<uint8_t, 512> bytes_{};
};

}  // namespace

DiskGeometry translated_geometry(uint64_t disk_sectors, uint32_t heads, uint32_t sectors) {
  DiskGeometry g{0, heads, sectors};
  const uint64_t track = uint64_t{heads} * sectors;
  g.cylinders = static_cast<uint32_t>(std::clamp<uint64_t>(disk_sectors / track, 1, 65535));
  return g;
}

DiskGeometry default_geometry(uint64_t sectors) {
  DiskGeometry g = translated_geometry(sectors, 16, 63);
  g.cylinders = std::min(g.cylinders, 16383u);
  return g;
}

std::array<uint8_t, 512> identify_device(uint64_t sectors, unsigned number,
                                         const DiskGeometry& current, unsigned sectors_per_block) {
  const DiskGeometry standard = default_geometry(sectors);
  Words w;
  w.put(0, 0x0040);  // a fixed disk
  w.put(1, standard.cylinders);
  w.put(3, standard.heads);
  w.put(6, standard.sectors);
  w.put_text(10, 10, absl::StrFormat("GN%08d", number));
  w.put_text(23, 4, "1.0");
  w.put_text(27, 20, "GNOMON DISK");
  w.put(47, 0x8000 | kMostSectorsPerBlock);
  w.put(49, 0x0200);  // LBA; no DMA
  w.put(50, 0x4000);
  w.put(51, 0x0200);  // PIO timing mode
  w.put(53, 0x0003);  // words 54 to 58 and 64 to 70 are valid
  w.put(54, current.cylinders);
  w.put(55, current.heads);
  w.put(56, current.sectors);
  w.put(57, uint64_t{current.cylinders} * current.heads * current.sectors, 2);
  if (sectors_per_block != 0) w.put(59, 0x0100 | sectors_per_block);
  w.put(60, std::min<uint64_t>(sectors, 0x0fff'ffff), 2);
  w.put(64, 0x0003);  // PIO modes 3 and 4
  w.put(67, 120);     // ns a cycle
  w.put(68, 120);
  w.put(80, 0x0070);  // ATA/ATAPI-4 to 6
  w.put(82, 0x0000);
  w.put(83, 0x7400);  // FLUSH CACHE (EXT), 48-bit addresses
  w.put(84, 0x4000);
  w.put(85, 0x0000);
  w.put(86, 0x3400);
  w.put(87, 0x4000);
  w.put(100, sectors, 4);
  return w.bytes();
}

}  // namespace gnomon::vmm

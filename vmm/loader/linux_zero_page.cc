// SPDX-License-Identifier: Apache-2.0
#include "vmm/loader/linux_zero_page.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace gnomon::vmm {
namespace {

constexpr size_t kPageBytes = 4096;

// Screen information, at the front of the page.
constexpr size_t kExtMemK = 0x02, kVideoMode = 0x06, kVideoColumns = 0x07, kVideoEgaBx = 0x0a,
                 kVideoLines = 0x0e, kVideoIsVga = 0x0f, kVideoPoints = 0x10;
constexpr size_t kAltMemK = 0x1e0, kE820Entries = 0x1e8, kE820Table = 0x2d0;
constexpr size_t kE820EntryBytes = 20;
constexpr size_t kMostE820Entries = 128;
// The header's place in the page ends where the next field begins.
constexpr size_t kHeaderLimit = 0x290;

constexpr uint8_t kUnknownLoader = 0xff;
constexpr uint16_t kNormalVideo = 0xffff;

// VGA text mode 3: 80 columns, 25 lines, characters 16 pixels high.
void set_screen(std::vector<uint8_t>& page) {
  set_number<uint8_t>(page, kVideoMode, 3);
  set_number<uint8_t>(page, kVideoColumns, 80);
  set_number<uint16_t>(page, kVideoEgaBx,
                       3);  // what INT 10h, AH=12h, BL=10h says of a VGA: 256 KiB
  set_number<uint8_t>(page, kVideoLines, 25);
  set_number<uint8_t>(page, kVideoIsVga, 1);
  set_number<uint16_t>(page, kVideoPoints, 16);
}

void set_memory(std::vector<uint8_t>& page, const Placement& placement) {
  const uint64_t above_1m = placement.usable_from(kOneMiB) >> 10;
  set_number<uint16_t>(page, kExtMemK, static_cast<uint16_t>(std::min<uint64_t>(above_1m, 0xfc00)));
  set_number<uint32_t>(page, kAltMemK,
                       static_cast<uint32_t>(std::min<uint64_t>(above_1m, 0xffffffff)));
  const std::vector<MemoryRange>& map = placement.memory_map();
  set_number<uint8_t>(page, kE820Entries, static_cast<uint8_t>(map.size()));
  for (size_t i = 0; i < map.size(); ++i) {
    const size_t at = kE820Table + i * kE820EntryBytes;
    set_number<uint64_t>(page, at, map[i].base);
    set_number<uint64_t>(page, at + 8, map[i].bytes);
    set_number<uint32_t>(page, at + 16, static_cast<uint32_t>(map[i].kind));
  }
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> make_zero_page(const LinuxHeader& header, ImageBytes image,
                                                    const LinuxFacts& facts,
                                                    const Placement& placement) {
  if (placement.memory_map().size() > kMostE820Entries) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: the machine's memory map has %d entries, and Linux takes %d; use "
                        "another board",
                        placement.file(), placement.memory_map().size(), kMostE820Entries));
  }
  std::vector<uint8_t> page(kPageBytes);
  set_screen(page);
  set_memory(page, placement);

  const uint64_t end = std::min<uint64_t>({header.header_end, kHeaderLimit, image.size()});
  std::copy(image.begin() + setup::kSetupSects, image.begin() + static_cast<ptrdiff_t>(end),
            page.begin() + setup::kSetupSects);
  set_number<uint16_t>(page, setup::kVidMode, kNormalVideo);
  set_number<uint8_t>(page, setup::kTypeOfLoader, kUnknownLoader);
  set_number<uint32_t>(page, setup::kCode32Start, static_cast<uint32_t>(facts.entry32));
  set_number<uint32_t>(page, setup::kRamdiskImage, static_cast<uint32_t>(facts.initrd));
  set_number<uint32_t>(page, setup::kRamdiskSize, static_cast<uint32_t>(facts.initrd_bytes));
  set_number<uint32_t>(page, setup::kCmdLinePtr, static_cast<uint32_t>(facts.command_line));
  // A list that loaders fill; what the file has there is no address of theirs.
  if (end >= setup::kSetupData + 8) set_number<uint64_t>(page, setup::kSetupData, 0);
  return page;
}

}  // namespace gnomon::vmm

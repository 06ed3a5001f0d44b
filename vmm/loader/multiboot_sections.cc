// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include "absl/strings/str_format.h"
#include "vmm/loader/multiboot_info.h"

namespace gnomon::vmm {
namespace {

constexpr uint32_t kSymbols = 2;         // SHT_SYMTAB
constexpr uint32_t kStrings = 3;         // SHT_STRTAB
constexpr uint64_t kInMemory = 1u << 1;  // SHF_ALLOC: a segment holds it

// Where fields are in a section header (System V ABI, figure 4-8).
struct Fields {
  size_t type, flags, address, offset, bytes, width;
};
constexpr Fields kFields32 = {4, 8, 12, 16, 20, 4};
constexpr Fields kFields64 = {4, 8, 16, 24, 32, 8};

uint64_t field(ImageBytes image, uint64_t at, size_t width) {
  return width == 8 ? number_at<uint64_t>(image, at) : number_at<uint32_t>(image, at);
}

}  // namespace

absl::StatusOr<ElfSections> place_sections(const ElfImage& elf, ImageBytes image,
                                           Placement& placement) {
  const ElfSections& sections = elf.sections;
  if (sections.count == 0) return ElfSections{};
  const Fields& f = elf.is64 ? kFields64 : kFields32;
  const uint64_t table_bytes = uint64_t{sections.entry_bytes} * sections.count;
  const ImageBytes stored = image.subspan(sections.offset, table_bytes);
  std::vector<uint8_t> table(stored.begin(), stored.end());

  // Sections share no bytes of a file that a linker wrote, so all of them together fit into its
  // size; headers that claim the same bytes again and again do not multiply it.
  uint64_t left = image.size();
  for (unsigned i = 0; i < sections.count; ++i) {
    const size_t at = size_t{sections.entry_bytes} * i;
    const auto type = number_at<uint32_t>(table, at + f.type);
    const uint64_t bytes = field(table, at + f.bytes, f.width);
    if ((type != kSymbols && type != kStrings) || bytes == 0 ||
        (field(table, at + f.flags, f.width) & kInMemory) != 0) {
      continue;
    }
    const uint64_t offset = field(table, at + f.offset, f.width);
    if (!has(image, offset, bytes) || bytes > left) {
      return image_error(placement.file(), sections.offset + at,
                         absl::StrFormat("section %d of %d bytes at byte %d, but the file ends at "
                                         "%d; strip the image or copy it anew",
                                         i, bytes, offset, image.size()));
    }
    left -= bytes;
    const std::optional<uint64_t> place = placement.take_low(bytes, 16, kOneMiB, kFourGiB);
    if (!place) {
      return absl::ResourceExhaustedError(absl::StrFormat(
          "%s: byte %d: no room for the %d bytes of section %d (symbols); strip the "
          "image or give the guest more memory",
          placement.file(), sections.offset + at, bytes, i));
    }
    if (const absl::Status s = placement.store(*place, image.subspan(offset, bytes)); !s.ok()) {
      return s;
    }
    if (elf.is64) {
      set_number<uint64_t>(table, at + f.address, *place);
    } else {
      set_number<uint32_t>(table, at + f.address, static_cast<uint32_t>(*place));
    }
  }

  const std::optional<uint64_t> place = placement.take_low(table_bytes, 16, kOneMiB, kFourGiB);
  if (!place) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("%s: byte %d: no room for %d section headers; strip the image or give the "
                        "guest more memory",
                        placement.file(), sections.offset, sections.count));
  }
  if (const absl::Status s = placement.store(*place, table); !s.ok()) return s;
  ElfSections placed = sections;
  placed.offset = *place;
  return placed;
}

}  // namespace gnomon::vmm

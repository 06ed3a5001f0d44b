// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_format.h"
#include "vmm/loader/all.h"
#include "vmm/loader/elf_image.h"
#include "vmm/loader/extras.h"
#include "vmm/loader/start_state.h"

// Plain ELF executables: ELF32 starts in 32-bit protected mode, ELF64 in 64-bit mode.

namespace gnomon::vmm {

absl::StatusOr<LoadedGuest> load_elf(const LoadOptions& options, const std::vector<uint8_t>& image,
                                     const std::vector<MemoryRange>& memory_map,
                                     GuestMemory& memory) {
  if (const absl::Status s = refuse_extras(options, "elf"); !s.ok()) return s;
  const absl::StatusOr<ElfImage> elf = read_elf(options.image, image);
  if (!elf.ok()) return elf.status();
  constexpr uint64_t kEntryField = 24;
  if (elf->entry >= kFourGiB) {
    return image_error(options.image, kEntryField,
                       absl::StrFormat("the physical entry 0x%x is not below 4 GiB, which is what "
                                       "the first page tables map; link the image lower",
                                       elf->entry));
  }
  Placement placement(options.image, memory_map, memory);
  LoadedGuest guest;
  absl::Status s = place_segments(*elf, image, placement, guest.used);
  if (s.ok()) {
    s = elf->is64 ? start_long64(elf->entry, placement, guest)
                  : start_flat32(elf->entry, placement, guest);
  }
  if (!s.ok()) return s;
  guest.format = "elf";
  guest.description = absl::StrFormat("ELF%d, segments: %d, entry 0x%x", elf->is64 ? 64 : 32,
                                      elf->segments.size(), elf->entry);
  return guest;
}

}  // namespace gnomon::vmm

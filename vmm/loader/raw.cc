// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_format.h"
#include "vmm/loader/all.h"
#include "vmm/loader/extras.h"
#include "vmm/loader/placement.h"
#include "vmm/loader/start_state.h"

// Any bytes, to an address that the user names, and started there.

namespace gnomon::vmm {

absl::StatusOr<LoadedGuest> load_raw(const LoadOptions& options, const std::vector<uint8_t>& image,
                                     const std::vector<MemoryRange>& memory_map,
                                     GuestMemory& memory) {
  if (const absl::Status s = refuse_extras(options, "raw"); !s.ok()) return s;
  if (image.empty()) return image_error(options.image, 0, "an empty file; there is nothing to run");
  if (options.load_address >= kFourGiB) {
    return image_error(
        options.image, 0,
        absl::StrFormat("the load address 0x%x is not below 4 GiB, where 32-bit code "
                        "could start; choose a lower one",
                        options.load_address));
  }
  Placement placement(options.image, memory_map, memory);
  absl::Status s = placement.claim({options.load_address, image.size(), "the image", 0});
  if (s.ok()) s = placement.store(options.load_address, image);
  LoadedGuest guest;
  if (s.ok()) s = start_flat32(options.load_address, placement, guest);
  if (!s.ok()) return s;
  guest.format = "raw";
  guest.description = absl::StrFormat("%d bytes at 0x%x", image.size(), options.load_address);
  guest.used.push_back({options.load_address, image.size(), MemoryRange::Kind::kUsable});
  return guest;
}

}  // namespace gnomon::vmm

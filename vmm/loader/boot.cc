// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_format.h"
#include "vmm/loader/all.h"
#include "vmm/loader/bios_stub.h"
#include "vmm/loader/extras.h"
#include "vmm/loader/placement.h"
#include "vmm/loader/start_state.h"

// A boot sector, as a PC BIOS starts it.

namespace gnomon::vmm {
namespace {

constexpr uint64_t kSectorBytes = 512;
constexpr uint64_t kSignature = 510;
constexpr uint16_t kSignatureValue = 0xaa55;
constexpr uint16_t kSectorPlace = 0x7c00;
constexpr uint64_t kFirstHardDisk = 0x80;
constexpr uint64_t kVectorBytes = 1024;

}  // namespace

bool is_boot_sector(ImageBytes head, uint64_t /*file_bytes*/) {
  return number_at<uint16_t>(head, kSignature) == kSignatureValue;
}

absl::StatusOr<LoadedGuest> load_boot(const LoadOptions& options, const std::vector<uint8_t>& image,
                                      const std::vector<MemoryRange>& memory_map,
                                      GuestMemory& memory) {
  if (const absl::Status s = refuse_extras(options, "boot"); !s.ok()) return s;
  if (image.size() < kSectorBytes) {
    return image_error(options.image, image.size(),
                       "shorter than a sector (512 bytes); pad the boot sector");
  }
  if (!is_boot_sector(image, image.size())) {
    return image_error(options.image, kSignature,
                       absl::StrFormat("%02x %02x where a boot sector ends in 55 aa; sign it, or "
                                       "name the image's real format",
                                       image[kSignature], image[kSignature + 1]));
  }
  Placement placement(options.image, memory_map, memory);
  absl::Status s = placement.claim({0, kVectorBytes, "the interrupt vectors", 0});
  if (s.ok()) s = placement.claim({kSectorPlace, kSectorBytes, "the boot sector", 0});
  if (!s.ok()) return s;
  const absl::StatusOr<uint64_t> bios = place_bios_stub(placement);
  if (!bios.ok()) return bios.status();
  s = placement.store(kSectorPlace, absl::MakeConstSpan(image).first(kSectorBytes));
  if (!s.ok()) return s;

  LoadedGuest guest;
  start_real(kSectorPlace, kSectorPlace, guest);
  guest.cpu.gpr[kRdx] = kFirstHardDisk;
  guest.format = "boot";
  guest.description =
      absl::StrFormat("boot sector at 0x%x, BIOS services at 0x%x", kSectorPlace, *bios);
  guest.used.push_back({kSectorPlace, kSectorBytes, MemoryRange::Kind::kUsable});
  return guest;
}

}  // namespace gnomon::vmm

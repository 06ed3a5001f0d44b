// SPDX-License-Identifier: Apache-2.0
#include "vmm/loader/linux_header.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_format.h"
#include "vmm/loader/all.h"
#include "vmm/loader/placement.h"

namespace gnomon::vmm {
namespace {

constexpr uint32_t kMagicHdrS = 0x53726448;
constexpr uint16_t kBootFlagValue = 0xaa55;
constexpr uint64_t kSectorBytes = 512;
constexpr uint64_t kEndOfFields = 0x268;
constexpr uint8_t kLoadedHigh = 1;
constexpr uint16_t kKernel64 = 1;

/// A C string in the setup part; what is not printable is left out, and so is its end beyond 80
/// characters.
std::string kernel_text(ImageBytes setup_part) {
  constexpr size_t kMost = 80;
  const auto pointer = number_at<uint16_t>(setup_part, setup::kKernelVersion);
  std::string text;
  if (pointer == 0) return text;
  for (uint64_t at = uint64_t{pointer} + kSectorBytes; at < setup_part.size(); ++at) {
    const uint8_t c = setup_part[at];
    if (c == 0 || text.size() == kMost) break;
    if (c >= 0x20 && c < 0x7f) text.push_back(static_cast<char>(c));
  }
  return text;
}

absl::Status read_memory_needs(absl::string_view file, ImageBytes image, LinuxHeader& h) {
  const bool has_relocation = h.version >= 0x0205;
  const bool has_needs = h.version >= 0x020a;
  h.relocatable = has_relocation && image[setup::kRelocatable] != 0;
  h.alignment = has_relocation ? number_at<uint32_t>(image, setup::kKernelAlignment) : 1;
  h.memory_bytes = h.code_bytes;
  h.run_address = kOneMiB;
  if (has_needs) {
    h.memory_bytes = std::max<uint64_t>(h.code_bytes, number_at<uint32_t>(image, setup::kInitSize));
    h.run_address = number_at<uint64_t>(image, setup::kPrefAddress);
    if (h.run_address == 0) h.run_address = kOneMiB;
  }
  if (!h.relocatable) {
    h.alignment = 1;
  } else if (!std::has_single_bit(h.alignment)) {
    return image_error(file, setup::kKernelAlignment,
                       absl::StrFormat("kernel_alignment 0x%x is not a power of two; copy the "
                                       "kernel anew",
                                       h.alignment));
  }
  if (h.run_address >= kFourGiB) {
    return image_error(
        file, setup::kPrefAddress,
        absl::StrFormat("pref_address 0x%x is not below 4 GiB, where the 32-bit entry "
                        "could reach it; copy the kernel anew",
                        h.run_address));
  }
  return absl::OkStatus();
}

}  // namespace

bool is_bzimage(ImageBytes head, uint64_t /*file_bytes*/) {
  return number_at<uint16_t>(head, setup::kBootFlag) == kBootFlagValue &&
         number_at<uint32_t>(head, setup::kMagic) == kMagicHdrS;
}

absl::StatusOr<LinuxHeader> read_linux_header(absl::string_view file, ImageBytes image) {
  if (!is_bzimage(image, image.size())) {
    return image_error(file, setup::kMagic,
                       "no Linux setup header (\"HdrS\"); name the image's real format");
  }
  LinuxHeader h;
  h.version = number_at<uint16_t>(image, setup::kVersion);
  if (h.version < 0x0202) {
    return image_error(file, setup::kVersion,
                       absl::StrFormat("boot protocol %d.%02d, at least 2.02 is needed; take a "
                                       "kernel from 2.4 on",
                                       h.version >> 8, h.version & 0xff));
  }
  const uint64_t sectors = image[setup::kSetupSects] == 0 ? 4 : image[setup::kSetupSects];
  h.code_offset = (sectors + 1) * kSectorBytes;
  if (h.code_offset >= image.size() || image.size() < kEndOfFields) {
    return image_error(
        file, setup::kSetupSects,
        absl::StrFormat("the kernel begins at byte %d, but the file ends at %d; copy "
                        "it anew",
                        h.code_offset, image.size()));
  }
  h.header_end = setup::kMagic + image[setup::kJump + 1];
  h.code_bytes = image.size() - h.code_offset;
  // Before 2.04 only the lower 16 bits of the size can be relied on.
  constexpr uint64_t kUnit = 16;
  const uint64_t stored = (h.code_bytes + kUnit - 1) / kUnit;
  const uint64_t said = number_at<uint32_t>(image, setup::kSysSize);
  if (h.version >= 0x0204 && said > stored) {
    return image_error(file, setup::kSysSize,
                       absl::StrFormat("the kernel should have %d bytes from byte %d on, but the "
                                       "file ends at %d; copy it anew",
                                       said * kUnit, h.code_offset, image.size()));
  }
  if ((image[setup::kLoadFlags] & kLoadedHigh) == 0) {
    return image_error(file, setup::kLoadFlags,
                       "a zImage, which is loaded below 1 MiB; build a bzImage");
  }
  const uint64_t code32 = number_at<uint32_t>(image, setup::kCode32Start);
  if (code32 < kOneMiB || code32 - kOneMiB >= h.code_bytes) {
    return image_error(file, setup::kCode32Start,
                       absl::StrFormat("code32_start 0x%x lies outside the kernel, 0x%x to 0x%x; "
                                       "copy it anew",
                                       code32, kOneMiB, kOneMiB + h.code_bytes));
  }
  h.entry_offset = code32 - kOneMiB;
  if (const absl::Status s = read_memory_needs(file, image, h); !s.ok()) return s;
  h.entry64 =
      h.version >= 0x020c && (number_at<uint16_t>(image, setup::kXloadFlags) & kKernel64) != 0;
  h.initrd_last =
      h.version >= 0x0203 ? number_at<uint32_t>(image, setup::kInitrdAddrMax) : 0x37ffffff;
  h.most_command_line = h.version >= 0x0206 ? number_at<uint32_t>(image, setup::kCmdLineSize) : 255;
  h.text = kernel_text(image.first(h.code_offset));
  return h;
}

}  // namespace gnomon::vmm

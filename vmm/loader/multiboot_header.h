// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_MULTIBOOT_HEADER_H_
#define VMM_LOADER_MULTIBOOT_HEADER_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vmm/loader/elf_image.h"
#include "vmm/loader/image_bytes.h"

// What a Multiboot kernel asks for (Multiboot Specification 0.6.96, 3.1 "OS image format").

namespace gnomon::vmm {

struct MultibootHeader {
  static constexpr uint32_t kAlignModules = 1u << 0;
  static constexpr uint32_t kMemoryInfo = 1u << 1;
  static constexpr uint32_t kVideo = 1u << 2;
  static constexpr uint32_t kAddresses = 1u << 16;

  uint64_t offset = 0;  ///< in the file
  uint32_t flags = 0;
};

/// The first header with a right checksum in the first 8 KiB.
std::optional<MultibootHeader> find_multiboot_header(ImageBytes image);

/// What is to be loaded: by the header's own addresses if it has them, as one segment; otherwise
/// what the ELF headers say. All of it below 4 GiB.
absl::StatusOr<ElfImage> read_multiboot(absl::string_view file, ImageBytes image,
                                        const MultibootHeader& header);

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_MULTIBOOT_HEADER_H_

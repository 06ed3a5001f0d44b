// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_ELF_IMAGE_H_
#define VMM_LOADER_ELF_IMAGE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vmm/loader/image_bytes.h"
#include "vmm/loader/placement.h"

// Executables in the Executable and Linkable Format (System V ABI, chapters 4 and 5) for x86.

namespace gnomon::vmm {

struct ElfSegment {
  uint64_t header = 0;  ///< file byte of its program header
  uint64_t file_offset = 0;
  uint64_t file_bytes = 0;
  uint64_t physical = 0;
  uint64_t memory_bytes = 0;  ///< at least file_bytes; the rest is zero
};

/// Where the section header table is; `count` 0: there is none.
struct ElfSections {
  uint64_t offset = 0;
  uint16_t entry_bytes = 0;
  uint16_t count = 0;
  uint16_t names = 0;  ///< the section with the sections' names
};

struct ElfImage {
  bool is64 = false;
  uint64_t entry = 0;  ///< physical
  std::vector<ElfSegment> segments;
  ElfSections sections;
};

bool is_elf(ImageBytes head);

/// Reads headers and loadable segments, every one of which lies in the file; the entry lies in one
/// of them. An entry that is a virtual address of a segment is taken as the physical one behind it.
absl::StatusOr<ElfImage> read_elf(absl::string_view file, ImageBytes image);

/// Puts the segments where they belong.
absl::Status place_segments(const ElfImage& elf, ImageBytes image, Placement& placement,
                            std::vector<MemoryRange>& used);

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_ELF_IMAGE_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_MULTIBOOT_INFO_H_
#define VMM_LOADER_MULTIBOOT_INFO_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "vmm/loader/elf_image.h"
#include "vmm/loader/placement.h"

// What a Multiboot kernel is told (Multiboot Specification 0.6.96, 3.3 "Boot information format").

namespace gnomon::vmm {

struct PlacedModule {
  uint64_t base = 0;
  uint64_t bytes = 0;
  std::string text;
};

struct MultibootFacts {
  std::string command_line;
  std::vector<PlacedModule> modules;
  bool video = false;
  ElfSections sections;  ///< `offset` is a guest-physical address here
};

/// Copies the section header table into memory, and the symbol and string tables that no segment
/// holds; their addresses are noted in the copy. What comes back has the copy's address as its
/// offset.
absl::StatusOr<ElfSections> place_sections(const ElfImage& elf, ImageBytes image,
                                           Placement& placement);

/// Builds the information structure with all that it points to, in one piece. Its address.
absl::StatusOr<uint64_t> place_multiboot_info(const MultibootFacts& facts, Placement& placement);

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_MULTIBOOT_INFO_H_

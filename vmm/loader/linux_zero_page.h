// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_LINUX_ZERO_PAGE_H_
#define VMM_LOADER_LINUX_ZERO_PAGE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "vmm/loader/linux_header.h"
#include "vmm/loader/placement.h"

namespace gnomon::vmm {

struct LinuxFacts {
  uint64_t entry32 = 0;
  uint64_t command_line = 0;  ///< address
  uint64_t initrd = 0;
  uint64_t initrd_bytes = 0;
};

/// The 4 KiB that a kernel finds at ESI ("boot parameters"; Linux kernel documentation, "Zero
/// Page"): its own setup header, filled in, the memory map, and the text screen. InvalidArgument:
/// the memory map has more entries than there is room for.
absl::StatusOr<std::vector<uint8_t>> make_zero_page(const LinuxHeader& header, ImageBytes image,
                                                    const LinuxFacts& facts,
                                                    const Placement& placement);

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_LINUX_ZERO_PAGE_H_

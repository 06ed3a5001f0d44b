// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_START_STATE_H_
#define VMM_LOADER_START_STATE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "gnomon/vmm/loader.h"
#include "vmm/loader/placement.h"

// How the first processor starts, in the three states that boot protocols know.

namespace gnomon::vmm {

/// Selectors of the flat descriptors.
struct FlatSelectors {
  uint16_t code, data;
};
/// As the Linux boot protocol wants them.
inline constexpr FlatSelectors kLinuxSelectors = {0x10, 0x18};
/// Multiboot leaves them open. Kernels that load a table of their own and go on with what is in CS
/// and SS until the first interrupt expect the order in which nearly all have their kernel
/// segments.
inline constexpr FlatSelectors kMultibootSelectors = {0x08, 0x10};

// Where tables go when the image leaves the place free; else above, on the next free page.
inline constexpr uint64_t kGdtPlace = 0x1000;
inline constexpr uint64_t kPageTablesPlace = 0x2000;
inline constexpr uint64_t kStackPlace = 0x8000;
inline constexpr uint64_t kInfoPlace = 0x9000;

/// 32-bit protected mode, paging off, flat segments of 4 GiB, interrupts off, a stack of one page.
/// Puts a global descriptor table into memory.
absl::Status start_flat32(uint64_t entry, Placement& placement, LoadedGuest& guest,
                          FlatSelectors selectors = kLinuxSelectors);

/// 64-bit mode, the first 4 GiB mapped to themselves with 2 MiB pages (present, writable,
/// supervisor), interrupts off, a stack of one page. Puts descriptor and page tables into memory.
absl::Status start_long64(uint64_t entry, Placement& placement, LoadedGuest& guest);

/// Real mode at 0000:`entry`, all segments 0, interrupts on, the stack below `stack`; vectors at 0.
void start_real(uint16_t entry, uint16_t stack, LoadedGuest& guest);

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_START_STATE_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_ALL_H_
#define VMM_LOADER_ALL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gnomon/vmm/loader.h"
#include "vmm/loader/image_bytes.h"

// The loaders, for the registry.

namespace gnomon::vmm {

#define GNOMON_LOADER(name)                                                                      \
  absl::StatusOr<LoadedGuest> load_##name(const LoadOptions&, const std::vector<uint8_t>& image, \
                                          const std::vector<MemoryRange>& memory_map,            \
                                          GuestMemory&)
GNOMON_LOADER(raw);
GNOMON_LOADER(boot);
GNOMON_LOADER(elf);
GNOMON_LOADER(multiboot);
GNOMON_LOADER(linux32);
GNOMON_LOADER(linux64);
#undef GNOMON_LOADER

bool is_boot_sector(ImageBytes head, uint64_t file_bytes);
bool is_multiboot(ImageBytes head, uint64_t file_bytes);
bool is_bzimage(ImageBytes head, uint64_t file_bytes);

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_ALL_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VMM_LOADER_H_
#define GNOMON_VMM_LOADER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/vmm/board.h"
#include "gnomon/vmm/cpu_state.h"
#include "gnomon/vmm/guest_memory.h"
#include "gnomon/x86/controls.h"

// Puts a guest's image into memory and says how the first processor starts.

namespace gnomon::vmm {

struct LoadOptions {
  std::string image;        ///< file
  std::string format;       ///< empty: by content; otherwise a name in loaders()
  std::string command_line;
  std::vector<std::string> modules;  ///< Multiboot: "FILE ARGS"; Linux: the first is the initrd
  uint64_t load_address = 0x10'0000;  ///< raw binaries; their entry as well
};

/// What a loader has done.
struct LoadedGuest {
  std::string format;
  std::string description;  ///< one line for people: what the image says of itself
  CpuState cpu;             ///< of the first processor
  Controls controls;        ///< likewise: CR0, CR3, CR4, EFER (LMA is computed by whoever loads them)
  std::vector<MemoryRange> used;  ///< where the image and its modules lie
};

struct LoaderInfo {
  absl::string_view name;  ///< linux, linux64, multiboot, elf, boot, raw
  absl::string_view description;
  /// Is it an image of this kind? `head` is the first 64 KiB, or the whole file.
  bool (*recognizes)(absl::Span<const uint8_t> head, uint64_t file_bytes);
  absl::StatusOr<LoadedGuest> (*load)(const LoadOptions& options, const std::vector<uint8_t>& image,
                                      const std::vector<MemoryRange>& memory_map, GuestMemory& memory);
  /// `load` looks at no more than the head, so that a disk image need not be read.
  bool head_only = false;
};
/// In the order in which they are asked.
const std::vector<LoaderInfo>& loaders();

/// Errors: NotFound (no such file), InvalidArgument (not an image of that kind, cut short, wants memory that is not there: the
/// message names file, byte offset and what to do), ResourceExhausted (larger than guest memory).
absl::StatusOr<LoadedGuest> load_guest(const LoadOptions& options, const Board& board,
                                       GuestMemory& memory);

/// Does the image start as a disk that goes on behind its boot sector, so that the guest will look for the rest on its first
/// drive? False as well for what cannot be read; load_guest() says why.
bool boots_as_disk(const LoadOptions& options);

}  // namespace gnomon::vmm

#endif  // GNOMON_VMM_LOADER_H_

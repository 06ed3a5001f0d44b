// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_GUEST_OPTIONS_H_
#define GNOMON_GUEST_OPTIONS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace gnomon {

/// Where a new page goes in guest-physical memory.
enum class FramePlacement : uint8_t {
  kSequential,  ///< the lowest free frame
  kRandom,      ///< any free frame (seeded)
  kFragmented,  ///< sequential, but a share of the 2M blocks holds a page that cannot move, so that
                ///< no huge page fits there
};

enum class HugePages : uint8_t {
  kNever,
  kMadvise,  ///< where the program asked
  kAlways,   ///< wherever a 2M-aligned stretch of anonymous memory is first touched
};

/// How the guest's kernel behaves. Defaults are those of a Linux guest where one value stands for
/// all, with huge pages off so that a first comparison shows 4K pages.
struct GuestOptions {
  uint64_t memory_bytes = uint64_t{4} << 30;
  HugePages thp = HugePages::kNever;
  FramePlacement placement = FramePlacement::kSequential;
  unsigned fragmented_percent = 50;  ///< kFragmented: share of 2M blocks spoiled
  /// File pages mapped at once around a faulting one, a power of two (Linux: fault_around_bytes,
  /// 64K).
  uint64_t fault_around_bytes = 64 << 10;
  /// Faults, system calls and switches run kernel code and touch kernel data.
  bool kernel_entries = true;
  bool kernel_large = true;  ///< the kernel maps itself and memory in 2M pages; off: in 4K pages
  bool pcid = false;         ///< CR4.PCIDE, with the no-flush bit on switches back
  /// Page tables are cleared entry by entry when a process ends, as Linux does.
  bool clear_on_exit = true;
  /// Alive at once: more is an error (fork bombs in hostile traces).
  unsigned max_processes = 65536;
  uint64_t max_mappings = 1 << 20;  ///< over all processes
  uint64_t seed = 1;
};

/// "thp=always,placement=random,pcid=on": KEY=VALUE… over the fields above (memory aside).
/// InvalidArgument names the key and what it takes.
absl::StatusOr<GuestOptions> parse_guest_options(absl::string_view text, GuestOptions base = {});

}  // namespace gnomon

#endif  // GNOMON_GUEST_OPTIONS_H_

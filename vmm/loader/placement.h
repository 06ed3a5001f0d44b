// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_PLACEMENT_H_
#define VMM_LOADER_PLACEMENT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/vmm/board.h"
#include "gnomon/vmm/guest_memory.h"

namespace gnomon::vmm {

inline constexpr uint64_t kFourGiB = uint64_t{1} << 32;
inline constexpr uint64_t kOneMiB = uint64_t{1} << 20;

/// What lies where while an image is loaded: nothing goes outside the RAM that the memory map calls
/// usable, and nothing over something else. Images come first, where they want to be; the tables
/// that a loader adds are then put where there is room.
class Placement {
 public:
  /// `file`: for messages. Both others must outlive the placement.
  Placement(absl::string_view file, const std::vector<MemoryRange>& memory_map,
            GuestMemory& memory);

  /// Where something belongs, and for messages: what it is and which byte of the file says so.
  struct Claim {
    uint64_t base = 0;
    uint64_t bytes = 0;
    absl::string_view what;
    uint64_t file_byte = 0;
  };
  /// Takes exactly that. InvalidArgument (no usable RAM there, or it overlaps another claim),
  /// ResourceExhausted (more than the guest has).
  absl::Status claim(const Claim& claim);

  /// Takes the lowest free place (highest, for the second) of this size and alignment that begins
  /// at `from` or above and ends at `below` or before. Nullopt: there is none. The first page is
  /// never given out: interrupt vectors and the BIOS data area are there.
  std::optional<uint64_t> take_low(uint64_t bytes, uint64_t alignment, uint64_t from,
                                   uint64_t below);
  std::optional<uint64_t> take_high(uint64_t bytes, uint64_t alignment, uint64_t from,
                                    uint64_t below);

  /// For tables: the lowest place from `preferred` on in the first MiB, else any below 4 GiB.
  /// ResourceExhausted: no room for `what`.
  absl::StatusOr<uint64_t> take_table(uint64_t bytes, uint64_t preferred, absl::string_view what);

  /// Copies into a place that was taken. ResourceExhausted: the host has no memory left.
  absl::Status store(uint64_t base, absl::Span<const uint8_t> bytes);
  absl::Status clear(uint64_t base, uint64_t bytes);

  bool usable(uint64_t base, uint64_t bytes) const;
  bool free(uint64_t base, uint64_t bytes) const;
  /// All usable RAM.
  uint64_t usable_bytes() const;
  /// Usable bytes from `base` on without a gap.
  uint64_t usable_from(uint64_t base) const;
  const std::string& file() const { return file_; }
  const std::vector<MemoryRange>& memory_map() const { return memory_map_; }
  GuestMemory& memory() { return memory_; }

 private:
  struct Range {
    uint64_t base;
    uint64_t end;
  };
  std::vector<Range> gaps(uint64_t from, uint64_t below) const;
  std::string usable_text() const;

  std::string file_;
  const std::vector<MemoryRange>& memory_map_;
  GuestMemory& memory_;
  std::vector<Range> usable_;           // by address, apart from each other
  std::map<uint64_t, uint64_t> taken_;  // base -> end, apart from each other
};

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_PLACEMENT_H_

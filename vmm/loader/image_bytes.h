// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_IMAGE_BYTES_H_
#define VMM_LOADER_IMAGE_BYTES_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

// Little-endian numbers in images and in the tables that loaders build, and sums that do not wrap.

namespace gnomon::vmm {

using ImageBytes = absl::Span<const uint8_t>;

/// Do `bytes` bytes from `offset` on lie in the image?
inline bool has(ImageBytes image, uint64_t offset, uint64_t bytes) {
  return offset <= image.size() && bytes <= image.size() - offset;
}

/// The number at `offset`; 0 where the image has already ended.
template <std::unsigned_integral T>
T number_at(ImageBytes image, uint64_t offset) {
  if (!has(image, offset, sizeof(T))) return 0;
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= uint64_t{image[offset + i]} << (8 * i);
  return static_cast<T>(value);
}

/// Stores a number into a table, which must be large enough.
template <std::unsigned_integral T>
void set_number(std::vector<uint8_t>& table, size_t offset, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    table.at(offset + i) = static_cast<uint8_t>(uint64_t{value} >> (8 * i));
  }
}

/// a + b; nullopt when it would wrap.
inline std::optional<uint64_t> sum(uint64_t a, uint64_t b) {
  if (b > std::numeric_limits<uint64_t>::max() - a) return std::nullopt;
  return a + b;
}

/// `value` rounded up to a multiple of `alignment`, a power of two; nullopt when it would wrap.
inline std::optional<uint64_t> align_up(uint64_t value, uint64_t alignment) {
  const std::optional<uint64_t> last = sum(value, alignment - 1);
  if (!last) return std::nullopt;
  return *last & ~(alignment - 1);
}

/// InvalidArgument: "FILE: byte 52: what; what to do".
inline absl::Status image_error(absl::string_view file, uint64_t byte, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ": byte ", byte, ": ", what));
}

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_IMAGE_BYTES_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_BOARD_TABLE_BYTES_H_
#define VMM_BOARD_TABLE_BYTES_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

// Tables of the firmware, byte by byte.

namespace gnomon::vmm {

using TableBytes = std::vector<uint8_t>;

inline void put(TableBytes& bytes, uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}
/// Filled up with blanks.
inline void put_text(TableBytes& bytes, absl::string_view text, size_t size) {
  for (size_t i = 0; i < size; ++i)
    bytes.push_back(static_cast<uint8_t>(i < text.size() ? text[i] : ' '));
}
inline void set(TableBytes& bytes, size_t at, uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
}
/// Sets the byte `at` so that all of them add up to zero.
inline void set_checksum(absl::Span<uint8_t> bytes, size_t at) {
  uint8_t sum = 0;
  for (const uint8_t byte : bytes) sum = static_cast<uint8_t>(sum + byte);
  bytes[at] = static_cast<uint8_t>(bytes[at] - sum);
}

}  // namespace gnomon::vmm

#endif  // VMM_BOARD_TABLE_BYTES_H_

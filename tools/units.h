// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_UNITS_H_
#define TOOLS_UNITS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Numbers as people write them. InvalidArgument says what is wrong with the text.

namespace gnomon::tools {

/// "4096", "0x1000", "64K", "2M", "4GiB": powers of 1024.
absl::StatusOr<uint64_t> parse_bytes(absl::string_view text);
/// "250000", "250k", "10M", "2G": powers of 1000.
absl::StatusOr<uint64_t> parse_count(absl::string_view text);

/// "12,345,678".
std::string with_separators(uint64_t n);
/// "1 reference", "12,345 references".
std::string count_of(uint64_t n, absl::string_view one, absl::string_view many);
/// "4K", "2M", "4G" where that is exact, else bytes with separators.
std::string short_bytes(uint64_t n);

}  // namespace gnomon::tools

#endif  // TOOLS_UNITS_H_

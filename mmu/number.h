// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_NUMBER_H_
#define MMU_NUMBER_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace gnomon {

/// What a suffix K, M, G or T of a number stands for.
enum class NumberUnit : uint8_t {
  kNone,   ///< it may have none
  kCount,  ///< powers of 1000
  kBytes,  ///< powers of 1024; "B" or "iB" may follow
};

/// A number as people write it, decimal or hexadecimal with 0x, in any letter case: "250k",
/// "0x1000", "4GiB". InvalidArgument quotes it and says what is wrong.
absl::StatusOr<uint64_t> parse_number(absl::string_view text, NumberUnit unit);

}  // namespace gnomon

#endif  // MMU_NUMBER_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LOADER_EXPECT_H_
#define TESTS_LOADER_EXPECT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gnomon/vmm/loader.h"
#include "tests/guest_images/ram.h"

// What several loaders' tests expect.

namespace gnomon::vmm {

inline constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
inline constexpr absl::StatusCode kExhausted = absl::StatusCode::kResourceExhausted;

/// Options for load().
LoadOptions at(uint64_t load_address);
LoadOptions with(absl::string_view command_line, std::vector<std::string> modules = {});

/// That code, and a message of one line that starts with the file's name and holds `part`.
void expect_error(const absl::StatusOr<LoadedGuest>& guest, absl::StatusCode code,
                  absl::string_view part);

/// 32-bit protected mode, flat; the descriptor table in memory says what the segments hold.
void expect_flat32(const LoadedGuest& guest, Ram& ram);
/// 64-bit mode with 4 GiB mapped to themselves.
void expect_long64(const LoadedGuest& guest, Ram& ram);

}  // namespace gnomon::vmm

#endif  // TESTS_LOADER_EXPECT_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_EXTRAS_H_
#define VMM_LOADER_EXTRAS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gnomon/vmm/loader.h"

// Files beside the image, and what comes with it.

namespace gnomon::vmm {

/// InvalidArgument when a command line or modules are given to a format that has no place for them.
absl::Status refuse_extras(const LoadOptions& options, absl::string_view format);

/// A whole file as it is stored. Errors: what opening says, ResourceExhausted (longer than
/// `most_bytes`, of which nothing is kept).
absl::StatusOr<std::vector<uint8_t>> read_whole_file(absl::string_view path, uint64_t most_bytes);

/// A name without its folders.
absl::string_view base_name(absl::string_view path);

/// Appends `text` and a zero byte.
void append_string(std::vector<uint8_t>& to, absl::string_view text);

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_EXTRAS_H_

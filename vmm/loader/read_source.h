// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_LOADER_READ_SOURCE_H_
#define VMM_LOADER_READ_SOURCE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gnomon/traces/byte_source.h"

namespace gnomon::vmm {

/// Appends what the source has until `to` holds `most_bytes` bytes or the source ends. Memory grows
/// with what has arrived, not with what a file says of itself.
absl::Status read_up_to(ByteSource& source, uint64_t most_bytes, std::vector<uint8_t>& to);

/// Is there another byte? Takes it.
absl::StatusOr<bool> has_more(ByteSource& source);

}  // namespace gnomon::vmm

#endif  // VMM_LOADER_READ_SOURCE_H_

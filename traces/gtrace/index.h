// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_INDEX_H_
#define TRACES_GTRACE_INDEX_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/traces/gtrace.h"

// What follows the blocks:
//
//   magic | rows (8) | references (8) | rows | checksum (8)
//   row:  offset (8) | bytes (8) | references (8) | events (8)

namespace gnomon::gtrace {

inline constexpr size_t kIndexFront = 24;  ///< up to the rows
inline constexpr size_t kIndexRow = 32;
inline constexpr size_t kIndexChecksum = 8;

std::string encode_index(absl::Span<const GtraceBlock> blocks);
/// Bytes of an index, from its first kIndexFront; nothing if they are not the front of one.
std::optional<size_t> index_bytes(absl::string_view front);
/// From a whole index, at `offset` in its file. Nothing if it is damaged.
std::optional<std::vector<GtraceBlock>> decode_index(absl::string_view bytes, uint64_t offset);

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_INDEX_H_

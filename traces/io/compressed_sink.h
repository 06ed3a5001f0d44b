// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_IO_COMPRESSED_SINK_H_
#define TRACES_IO_COMPRESSED_SINK_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gnomon/traces/trace_writer.h"

namespace gnomon {

/// Compresses into `sink` as `suffix` (one that compressed_suffix() returns) says. The same bytes
/// give the same bytes: no date and no name go in. All of them hold a checksum of what was packed.
absl::StatusOr<std::unique_ptr<ByteSink>> compress_into(std::unique_ptr<ByteSink> sink,
                                                        absl::string_view suffix);

/// The one for zstd.
absl::StatusOr<std::unique_ptr<ByteSink>> zstd_into(std::unique_ptr<ByteSink> sink);

}  // namespace gnomon

#endif  // TRACES_IO_COMPRESSED_SINK_H_

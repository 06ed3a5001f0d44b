// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_GTRACE_H_
#define GNOMON_TRACES_GTRACE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gnomon/traces/byte_source.h"
#include "gnomon/traces/trace_reader.h"
#include "gnomon/traces/trace_writer.h"

// Gnomon's own format: docs/gtrace.md.

namespace gnomon {

struct GtraceOptions {
  int compression = 9;                   ///< zstd level, 1 to 22
  uint32_t block_records = 1u << 20;     ///< most records in a block: what a reader holds in memory
};

/// Recognizes the magic number.
bool is_gtrace(absl::string_view front);
absl::StatusOr<std::unique_ptr<TraceWriter>> create_gtrace_writer(std::unique_ptr<ByteSink> sink,
                                                                  const TraceInfo& info,
                                                                  const GtraceOptions& options = {});
/// Reads as a stream: no seeking, standard input too.
std::unique_ptr<TraceReader> make_gtrace_reader(std::unique_ptr<ByteSource> source, ReadMode mode);

/// The index at the end of a file: one row a block.
struct GtraceBlock {
  uint64_t offset = 0;      ///< of the block in the file
  uint64_t bytes = 0;       ///< there, header included
  uint64_t references = 0;  ///< in it
  uint64_t events = 0;
  uint64_t first_reference = 0;  ///< in the blocks before it
};
/// Reads the index of a file; if that is missing or damaged, finds the blocks by scanning.
absl::StatusOr<std::vector<GtraceBlock>> read_gtrace_index(const std::string& path);
/// Reads one block of a file. Who runs as it begins is stored in each, so any can be read alone: unless
/// that is process 0, thread 0, a switch that the block's counts do not include stands in front.
absl::StatusOr<TraceBatch> read_gtrace_block(const std::string& path, const GtraceBlock& block);

}  // namespace gnomon

#endif  // GNOMON_TRACES_GTRACE_H_

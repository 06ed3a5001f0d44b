// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_COPY_TRACE_H_
#define TOOLS_COPY_TRACE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gnomon/traces/trace_reader.h"
#include "gnomon/traces/trace_writer.h"

namespace gnomon::tools {

/// A file to be written: in which format, and how.
struct TraceTarget {
  std::string path;     ///< "-": standard output
  std::string format;   ///< empty: by the path's suffix, else gtrace
  int compression = 9;  ///< of .gtrace
};
absl::StatusOr<std::unique_ptr<TraceWriter>> create_trace(const TraceTarget& target,
                                                          const TraceInfo& info);

struct CopyOptions {
  uint64_t skip = 0;   ///< references left out; the state that they leave is kept (KeptState, KeptGuest)
  uint64_t limit = 0;  ///< references copied; 0: all
  bool quiet = false;
};
struct CopyResult {
  uint64_t references = 0;
  uint64_t events = 0;
  uint64_t bytes = 0;     ///< written
  uint64_t left_out = 0;  ///< of what was read: the target's format has no place for it
};
/// Copies a trace to its end, or a window of it. The target is made once the trace has said what it is.
absl::StatusOr<CopyResult> copy_trace(TraceReader& reader, const TraceTarget& target,
                                      const CopyOptions& options);

}  // namespace gnomon::tools

#endif  // TOOLS_COPY_TRACE_H_

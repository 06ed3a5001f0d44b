// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_FORMATS_H_
#define GNOMON_TRACES_FORMATS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/traces/byte_source.h"
#include "gnomon/traces/trace_reader.h"
#include "gnomon/traces/trace_writer.h"

namespace gnomon {

/// One trace format. Either function may be null: the format is not read, or not written.
struct TraceFormat {
  absl::string_view name;
  absl::string_view suffix;  ///< of file names, with its dot: what a writer is chosen by
  absl::string_view description;
  /// Whether a trace that starts with these bytes (after decompression; up to 4096) is of this format.
  /// Null: it cannot be told from its content (ChampSim), so it must be named.
  bool (*recognize)(absl::string_view front);
  std::unique_ptr<TraceReader> (*read)(std::unique_ptr<ByteSource> source, ReadMode mode);
  absl::StatusOr<std::unique_ptr<TraceWriter>> (*write)(std::unique_ptr<ByteSink> sink,
                                                        const TraceInfo& info);
};

/// gtrace, lackey, champsim, champsim-cloudsuite, dynamorio, pinatrace, gem5, csv.
absl::Span<const TraceFormat> trace_formats();
/// InvalidArgument names what is known.
absl::StatusOr<const TraceFormat*> find_trace_format(absl::string_view name);

struct OpenOptions {
  absl::string_view format;  ///< empty: by content, then by suffix (a suffix of compression left aside)
  ReadMode mode = ReadMode::kStrict;
};
/// A file by name, "-" for standard input, or "gen:PATTERN,KEY=VALUE…" (generators.h). Compressed files
/// (gzip, xz, zstd, bzip2, zip) are recognized by content. Errors: NotFound, FailedPrecondition,
/// InvalidArgument (format not recognized: names what is known).
absl::StatusOr<std::unique_ptr<TraceReader>> open_trace(absl::string_view path,
                                                        const OpenOptions& options = {});

/// Decompresses what `source` holds if it is compressed, by content; hands it through otherwise.
absl::StatusOr<std::unique_ptr<ByteSource>> decompress(std::unique_ptr<ByteSource> source);

}  // namespace gnomon

#endif  // GNOMON_TRACES_FORMATS_H_

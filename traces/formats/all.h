// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_FORMATS_ALL_H_
#define TRACES_FORMATS_ALL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "gnomon/traces/byte_source.h"
#include "gnomon/traces/lackey.h"
#include "gnomon/traces/trace_reader.h"
#include "gnomon/traces/trace_writer.h"

// The formats that the registry lists, besides gtrace and lackey. docs/trace-formats.md says what
// each keeps and loses.

namespace gnomon {

using Reader = std::unique_ptr<TraceReader>;
using Writer = absl::StatusOr<std::unique_ptr<TraceWriter>>;

/// ChampSim's 64-byte records, and those of 96 bytes of its CloudSuite traces.
Reader make_champsim_reader(std::unique_ptr<ByteSource> source, ReadMode mode);
Reader make_cloudsuite_reader(std::unique_ptr<ByteSource> source, ReadMode mode);
Writer create_champsim_writer(std::unique_ptr<ByteSink> sink, const TraceInfo& info);

/// DynamoRIO's drmemtrace, final (not raw): a stream of 12-byte records.
bool is_dynamorio(absl::string_view front);
Reader make_dynamorio_reader(std::unique_ptr<ByteSource> source, ReadMode mode);
Writer create_dynamorio_writer(std::unique_ptr<ByteSink> sink, const TraceInfo& info);

/// Text of Pin's example tool pinatrace.
bool is_pinatrace(absl::string_view front);
Reader make_pinatrace_reader(std::unique_ptr<ByteSource> source, ReadMode mode);
Writer create_pinatrace_writer(std::unique_ptr<ByteSink> sink, const TraceInfo& info);

/// gem5's packet traces: length-delimited protobuf messages.
bool is_gem5(absl::string_view front);
Reader make_gem5_reader(std::unique_ptr<ByteSource> source, ReadMode mode);

/// Text with a header line, for other programs; holds everything that a trace can hold.
bool is_csv(absl::string_view front);
Reader make_csv_reader(std::unique_ptr<ByteSource> source, ReadMode mode);
Writer create_csv_writer(std::unique_ptr<ByteSink> sink, const TraceInfo& info);

}  // namespace gnomon

#endif  // TRACES_FORMATS_ALL_H_

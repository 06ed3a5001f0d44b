// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_TRACE_WRITER_H_
#define GNOMON_TRACES_TRACE_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/traces/record.h"
#include "gnomon/traces/trace_reader.h"

namespace gnomon {

/// Takes bytes in order. A file sink writes beside its target and renames at finish(), so that a
/// failure leaves nothing half-written. Errors: what the system reports; Aborted means one thing, a
/// pipe whose reader has gone (EPIPE).
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual absl::Status write(absl::string_view bytes) = 0;
  /// Everything is there and stays. Without it nothing appears under the target's name.
  virtual absl::Status finish() = 0;
  /// In place of finish() after it or write() has failed: keeps the first `bytes` of what was written and
  /// returns the name of the file that holds them, the target's with ".part" at its end, or a temporary one
  /// if there is such a file. Unimplemented: what is written by this sink cannot be cut.
  virtual absl::StatusOr<std::string> keep(uint64_t /*bytes*/) {
    return absl::UnimplementedError("only a file can be cut");
  }
  virtual absl::string_view name() const = 0;
};

/// A file by name, or standard output for "-" (then bytes go out as they come). A file whose name ends
/// in .gz, .xz, .zst or .bz2 is compressed so.
absl::StatusOr<std::unique_ptr<ByteSink>> create_sink(absl::string_view path);

/// The ending of such a name, with its dot; empty: it has none of them.
absl::string_view compressed_suffix(absl::string_view path);

/// Removes what file sinks have written under temporary names and not finished. For a signal handler
/// that ends the process: it calls only what is safe there, and no sink may be used after it.
void remove_unfinished_files();

class StringSink final : public ByteSink {
 public:
  absl::Status write(absl::string_view bytes) override;
  absl::Status finish() override { return absl::OkStatus(); }
  absl::string_view name() const override { return "memory"; }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// What is left of a trace that could not be written to its end.
struct SalvagedTrace {
  std::string path;
  uint64_t references = 0;
};

/// Writes a trace from front to back.
class TraceWriter {
 public:
  virtual ~TraceWriter() = default;
  /// Event records index into `events`. Errors: what the sink reports; Unimplemented never: what a
  /// format cannot hold is left out and counted.
  virtual absl::Status write(absl::Span<const TraceRecord> records,
                             absl::Span<const TraceEvent> events) = 0;
  /// Writes what is still held back, and finishes the sink.
  virtual absl::Status finish() = 0;
  /// After the sink has failed: keeps what can be read of the trace, in a file of another name (ByteSink::keep).
  /// FailedPrecondition: it has not, or there is nothing to keep; Unimplemented: not of this format or sink.
  virtual absl::StatusOr<SalvagedTrace> salvage() {
    return absl::UnimplementedError("a trace of this format is kept whole or not at all");
  }
  /// Records and events that this format has no place for, so far.
  virtual uint64_t left_out() const = 0;
  virtual uint64_t bytes_written() const = 0;
};

}  // namespace gnomon

#endif  // GNOMON_TRACES_TRACE_WRITER_H_

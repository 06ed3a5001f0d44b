// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_TRACE_READER_H_
#define GNOMON_TRACES_TRACE_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/traces/record.h"

namespace gnomon {

/// What a trace says of itself. Empty: unknown.
struct TraceInfo {
  std::string format;    ///< "gtrace", "lackey", …
  std::string program;   ///< the command line that was recorded, or the generator's
  std::string recorder;  ///< what recorded it, with its version
  std::string machine;   ///< processor and system it was recorded on
  std::string note;      ///< how it was recorded, in a line
  /// Addresses are guest-physical: nothing translates (monitors behind the MMU).
  bool physical = false;
  /// Records of a whole guest, with its table writes and CR3 loads: replayed without a model of a kernel.
  bool guest = false;
  std::optional<uint64_t> references;  ///< in the whole trace
};

/// Strict: the first thing that is wrong ends the reading. Lenient: it is counted and left out.
enum class ReadMode : uint8_t { kStrict, kLenient };

/// The record at `index` of a batch comes from this line of the source, and those behind it from one line
/// each, up to the next of these.
struct SourceLine {
  size_t index;
  uint64_t line;
};
/// "line 12": where the record at `index` is; empty without lines.
std::string place_in(absl::Span<const SourceLine> lines, size_t index);

struct ReadStats {
  uint64_t bytes = 0;      ///< taken from the source so far (as stored: compressed)
  uint64_t records = 0;    ///< memory operations
  uint64_t events = 0;
  uint64_t left_out = 0;   ///< lenient: records, lines or blocks that could not be used
  std::string first_fault;  ///< of those, the first: what and where
  std::string warning;     ///< the trace can be used, but something is amiss (cut off at the end)
};

/// Reads a trace from front to back, in constant memory. Made by open_trace and make_reader.
class TraceReader {
 public:
  virtual ~TraceReader() = default;
  /// Fills the front of `out` (at least kLeastBatch) and returns how many; 0 only at the end. `events` is
  /// cleared first; event records index into it. It may return fewer than there is room for. Errors
  /// come after everything before them, and stay: InvalidArgument naming source, record or line, byte
  /// offset and what is wrong there; what the source reports.
  virtual absl::StatusOr<size_t> read(absl::Span<TraceRecord> out, std::vector<TraceEvent>& events) = 0;
  /// Complete once the first read() has returned.
  virtual const TraceInfo& info() const = 0;
  virtual const ReadStats& stats() const = 0;
  virtual absl::string_view name() const = 0;  ///< of the source, for messages
  /// Where in the source the records of the last read() are, in order; empty: this format does not keep it.
  virtual absl::Span<const SourceLine> lines() const { return {}; }
  /// Bytes of the source, when known.
  virtual std::optional<uint64_t> total_bytes() const = 0;

  static constexpr size_t kLeastBatch = 256;
};

}  // namespace gnomon

#endif  // GNOMON_TRACES_TRACE_READER_H_

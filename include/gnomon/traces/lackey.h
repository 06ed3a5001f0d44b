// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_LACKEY_H_
#define GNOMON_TRACES_LACKEY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gnomon/traces/byte_source.h"
#include "gnomon/traces/record.h"

// Recordings of `valgrind --tool=lackey --trace-mem=yes`, one record a line:
//
//   ==4242== Lackey, an example Valgrind tool        valgrind's own messages: notes
//   I  04001090,3                                    fetch:  letter in column 1, two spaces
//    L 1ffeffe7e,8                                   load, store, modify: letter in column 2
//    S 1ffeffe78,8
//   | | |        |
//   | | |        +-- bytes, decimal
//   | | +----------- address, hexadecimal without 0x
//   +-+------------- kind
//
// Valgrind writes its messages into the same stream, so a record may have one glued to its end.

namespace gnomon {

/// Why a line that is no record was not taken.
enum class LineFault : uint8_t { kMalformed, kNonCanonical, kBadSize, kTooLong, kCount };
inline constexpr size_t kLineFaultCount = static_cast<size_t>(LineFault::kCount);

struct LackeyStats {
  uint64_t bytes = 0;  ///< read from the source so far
  uint64_t lines = 0;
  uint64_t records = 0;
  uint64_t notes = 0;  ///< valgrind's messages and empty lines
  uint64_t glued = 0;  ///< records with a message at their end; those cut short by it are dropped
  std::array<uint64_t, kLineFaultCount> rejected{};  ///< lenient only: lines left out, by reason
  /// The last line has no newline: the recording was cut there. Taken if it is a whole record.
  bool cut_off = false;

  uint64_t rejected_lines() const;
};

/// Reads such a recording as a stream, in constant memory.
class LackeyReader {
 public:
  /// Strict: the first bad line ends the reading. Lenient: bad lines are counted and left out.
  enum class Mode : uint8_t { kStrict, kLenient };

  explicit LackeyReader(ByteSource& source, Mode mode = Mode::kStrict,
                        size_t buffer_bytes = kDefaultBuffer);

  /// Fills the front of `out` (not empty) with the next records and returns how many; 0 only at the
  /// end. Errors come after all records before them, and stay: InvalidArgument naming source, line,
  /// byte offset and what is wrong there; what the source reports.
  absl::StatusOr<size_t> read(absl::Span<TraceRecord> out);

  const LackeyStats& stats() const { return stats_; }

  static constexpr size_t kDefaultBuffer = size_t{1} << 20;

 private:
  bool refill();
  bool finish_last_line();
  void skip_long_line();
  bool take_odd_line(const char* line, const char* end, TraceRecord& record);
  void reject(LineFault fault, const char* line, const char* end);
  void fail(absl::Status error);

  ByteSource& source_;
  Mode mode_;
  size_t capacity_;
  std::unique_ptr<char[]> buffer_;
  // Bytes next_..complete_ are whole lines, complete_..filled_ the front of a line still to come.
  char* next_;
  char* complete_;
  char* filled_;
  bool source_ended_ = false;
  bool last_line_cut_ = false;  // the line now in the buffer had no newline of its own
  absl::Status error_;
  LackeyStats stats_;
};

}  // namespace gnomon

#endif  // GNOMON_TRACES_LACKEY_H_

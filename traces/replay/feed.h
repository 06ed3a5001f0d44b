// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_REPLAY_FEED_H_
#define TRACES_REPLAY_FEED_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gnomon/traces/trace_reader.h"

namespace gnomon {

/// References by AccessOp.
using OpCounts = std::array<uint64_t, 3>;
inline uint64_t total(const OpCounts& counts) { return counts[0] + counts[1] + counts[2]; }
OpCounts count_ops(absl::Span<const TraceRecord> records);

/// A stretch of a trace. Event records index into `events`.
struct Piece {
  absl::Span<const TraceRecord> records;
  absl::Span<const TraceEvent> events;
  OpCounts ops{};
  bool empty() const { return records.empty(); }
};

/// Hands out one trace in pieces that end where the caller wants.
class Feed {
 public:
  explicit Feed(std::unique_ptr<TraceReader> reader)
      : reader_(std::move(reader)), records_(kRecords) {}

  /// Reads ahead, so that what the trace says of itself is known. Then everything read, for a look.
  absl::StatusOr<Piece> prime();
  /// The next records, up to and with the last of `references` (at least 1) references, a modify that
  /// would be cut being taken whole. Events behind that reference belong to the next piece, wherever the
  /// reader ends its batches. Empty only at the end. Good until the next call.
  absl::StatusOr<Piece> take(uint64_t references);

  /// Of a trace of a whole guest: the bytes that it begins by saying it has. InvalidArgument: it does not,
  /// or not 4K to 1T.
  absl::StatusOr<uint64_t> guest_memory();

  const TraceReader& reader() const { return *reader_; }
  uint64_t taken() const { return taken_; }  ///< references handed out so far
  /// Where a record of the last piece is in the trace: "record 7 (reference 5, line 9)".
  std::string place(const TraceRecord& record) const;

  bool marked = false;  ///< inside a region of interest
  uint64_t rejected = 0;       ///< records that the guest did not take
  std::string first_rejected;  ///< what and where
  uint64_t bytes_told = 0;     ///< of the source, as progress

 private:
  // Records of a quarter megabyte stay in the second-level cache between reader and machines.
  static constexpr size_t kRecords = 8192;

  std::unique_ptr<TraceReader> reader_;
  std::vector<TraceRecord> records_;
  std::vector<TraceEvent> events_;
  size_t next_ = 0;
  size_t end_ = 0;
  uint64_t taken_ = 0;
  // Before the batch in records_.
  uint64_t records_before_ = 0;
  uint64_t references_before_ = 0;
};

}  // namespace gnomon

#endif  // TRACES_REPLAY_FEED_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_REPLAY_BATCHES_H_
#define TRACES_REPLAY_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gnomon/traces/trace_reader.h"

namespace gnomon {

/// What one read of a trace gave.
struct ReadBatch {
  std::vector<TraceRecord> records;  ///< has room for more than `count`
  size_t count = 0;                  ///< 0: the end of the trace
  std::vector<TraceEvent> events;
  std::vector<SourceLine> lines;
  unsigned users = 0;
  size_t bytes = 0;  ///< of memory, as long as it is kept for others
};

/// Reads a trace once for all who want it, each at its own place: a batch is kept until the last of
/// them has gone on to the next.
class Batches {
 public:
  explicit Batches(std::unique_ptr<TraceReader> reader) : reader_(std::move(reader)) {}

  /// Somebody comes to batch `number`, which is kept or the next to be read.
  void enter(uint64_t number);
  /// Somebody is done with it. Who goes on enters the next one before.
  void leave(uint64_t number);
  /// The batch, for one who has entered it; good until they leave. Errors: the reader's;
  /// ResourceExhausted: the slowest is too far behind.
  absl::StatusOr<const ReadBatch*> get(uint64_t number);

  const TraceReader& reader() const { return *reader_; }
  size_t bytes() const { return bytes_; }  ///< of memory, in what is kept

  /// Of memory for those who are behind: more than a hundred times what slices of the default
  /// length need.
  static constexpr size_t kMostBytes = size_t{256} << 20;

 private:
  absl::Status read_next();

  // Records of a quarter megabyte stay in the second-level cache between reader and machines.
  static constexpr size_t kRecords = 8192;

  std::unique_ptr<TraceReader> reader_;
  std::deque<ReadBatch> kept_;
  uint64_t first_ = 0;  // number of the front of kept_
  unsigned users_ = 0;
  unsigned waiting_ = 0;  // have entered what is still to be read
  size_t bytes_ = 0;      // of kept_
  ReadBatch spare_;       // its memory is used again
};

}  // namespace gnomon

#endif  // TRACES_REPLAY_BATCHES_H_

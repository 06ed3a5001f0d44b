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
#include "traces/replay/batches.h"

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
      : batches_(std::make_shared<Batches>(std::move(reader))) {
    batches_->enter(0);
  }
  /// Another one of the same trace, which reads it once for both. It hands out nothing before join().
  explicit Feed(std::shared_ptr<Batches> batches) : batches_(std::move(batches)), joined_(false) {}
  ~Feed() {
    if (joined_) batches_->leave(number_);
  }
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  const std::shared_ptr<Batches>& batches() const { return batches_; }
  /// Once: goes on from where `other`, of the same batches, is.
  void join(const Feed& other);
  bool joined() const { return joined_; }

  /// Reads ahead, so that what the trace says of itself is known. Then everything read, for a look.
  absl::StatusOr<Piece> prime();
  /// The next records, up to and with the last of `references` (at least 1) references, a modify that
  /// would be cut being taken whole. Events behind that reference belong to the next piece, wherever the
  /// reader ends its batches. Empty only at the end. Good until the next call.
  absl::StatusOr<Piece> take(uint64_t references);

  /// Of a trace of a whole guest: the bytes that it begins by saying it has. InvalidArgument: it does not,
  /// or not 4K to 64G.
  absl::StatusOr<uint64_t> guest_memory();

  const TraceReader& reader() const { return batches_->reader(); }
  uint64_t taken() const { return taken_; }  ///< references handed out so far
  /// Where a record of the last piece is in the trace: "record 7 (reference 5, line 9)".
  std::string place(const TraceRecord& record) const;

  bool marked = false;  ///< inside a region of interest
  uint64_t rejected = 0;       ///< records that the guest did not take
  std::string first_rejected;  ///< what and where
  uint64_t bytes_told = 0;     ///< of the source, as progress

 private:
  std::shared_ptr<Batches> batches_;
  bool joined_ = true;
  uint64_t number_ = 0;  // of the batch
  const ReadBatch* batch_ = nullptr;
  size_t next_ = 0;
  uint64_t taken_ = 0;
  // Before the batch.
  uint64_t records_before_ = 0;
  uint64_t references_before_ = 0;
};

}  // namespace gnomon

#endif  // TRACES_REPLAY_FEED_H_

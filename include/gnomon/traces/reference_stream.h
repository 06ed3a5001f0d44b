// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_REFERENCE_STREAM_H_
#define GNOMON_TRACES_REFERENCE_STREAM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gnomon/traces/lackey.h"
#include "gnomon/traces/record.h"

namespace gnomon {

/// Turns records into references: a modify is a load, then a store; an access that crosses a page
/// boundary is two, lower page first.
class ReferenceStream {
 public:
  explicit ReferenceStream(LackeyReader& reader) : reader_(reader), records_(kRecordsAtOnce) {}

  /// Fills the front of `out` with the next references; fewer than asked for only at the end. An
  /// error of the reader comes after all references before it.
  absl::StatusOr<size_t> read(absl::Span<Reference> out);

 private:
  static constexpr size_t kRecordsAtOnce = 4096;
  static constexpr size_t kMostPerRecord = 4;  // a modify that crosses a page

  void expand(const TraceRecord& record);

  LackeyReader& reader_;
  std::vector<TraceRecord> records_;
  size_t next_record_ = 0;
  size_t record_count_ = 0;
  uint64_t record_number_ = 0;
  std::array<Reference, kMostPerRecord> pending_;
  size_t next_pending_ = 0;
  size_t pending_count_ = 0;
};

}  // namespace gnomon

#endif  // GNOMON_TRACES_REFERENCE_STREAM_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_BLOCK_DECODER_H_
#define TRACES_GTRACE_BLOCK_DECODER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/traces/event.h"
#include "gnomon/traces/record.h"
#include "traces/gtrace/dictionary.h"
#include "traces/gtrace/layout.h"
#include "traces/gtrace/streams.h"

namespace gnomon::gtrace {

/// Turns the streams of a block into records, straight into the caller's memory, a run at a time.
class BlockDecoder {
 public:
  /// Starts with a block. InvalidArgument says what is wrong with it.
  absl::Status start(const BlockHeader& header, absl::string_view stored);

  /// Fills the front of `out` (at least TraceReader::kLeastBatch) and returns how many; 0 when the
  /// block is at its end. Events are appended. After an error, `salvaged()` records in front of
  /// `out` are good.
  absl::StatusOr<size_t> read(absl::Span<TraceRecord> out, std::vector<TraceEvent>& events);
  size_t salvaged() const { return salvaged_; }

 private:
  struct Run {
    uint32_t first_record, first_patch;
    uint32_t records, data, references;
  };
  /// A data record of a run: where it is in the run, its slot's state, and that of the slot's base.
  struct Patch {
    uint32_t position, state, base;
  };
  struct SlotState {
    uint64_t last;
    uint64_t offset;
    uint64_t learns;  ///< all ones or 0
  };

  absl::string_view expand();
  void expand_basic(const BasicRun& basic);
  absl::string_view expand_pair(uint32_t a, uint32_t b);
  void patch(const Run& run, TraceRecord* to);
  bool patch_corrected(const Run& run, TraceRecord* to, size_t misses);
  absl::string_view take_event(std::vector<TraceEvent>& events);
  absl::StatusOr<size_t> check(absl::Span<TraceRecord> out, size_t done,
                               const std::vector<TraceEvent>& events, size_t first_event,
                               absl::string_view fault);

  Unpacker unpacker_;
  Streams streams_;
  Dictionary dictionary_;
  BlockHeader header_;

  std::vector<Run> runs_;
  std::vector<TraceRecord> records_;  // of the runs
  std::vector<Patch> patches_;
  /// In front of the slots' one whose `last` is the address of the last data record before a run.
  std::vector<SlotState> states_;

  // Where reading is in the streams.
  size_t token_ = 0, tokens_ = 0;
  uint32_t fresh_ = 0;
  size_t miss_count_ = 0;
  const char* miss_ = nullptr;
  const char* misses_end_ = nullptr;
  const char* correction_ = nullptr;
  const char* corrections_end_ = nullptr;
  size_t event_byte_ = 0;

  struct {
    uint64_t records = 0, events = 0, references = 0;
  } left_;
  uint64_t highest_ = 0;  // address of data, since it was last looked at
  size_t salvaged_ = 0;
};

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_BLOCK_DECODER_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TESTS_RECORD_COLLECTING_WRITER_H_
#define GNOMON_TESTS_RECORD_COLLECTING_WRITER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gnomon/traces/trace_writer.h"

namespace gnomon {

/// Keeps a trace in memory; on request, fails after so many references.
class CollectingWriter final : public TraceWriter {
 public:
  explicit CollectingWriter(uint64_t fail_after = ~uint64_t{0}) : fail_after_(fail_after) {}

  absl::Status write(absl::Span<const TraceRecord> more,
                     absl::Span<const TraceEvent> events_of_these) override {
    for (const TraceRecord& record : more) {
      if (record.kind != RecordKind::kEvent) {
        records.push_back(record);
        continue;
      }
      events.push_back(events_of_these[record.address.value()]);
      events_at.push_back(records.size());
    }
    if (records.size() > fail_after_) return absl::ResourceExhaustedError("the disk is full");
    return absl::OkStatus();
  }
  absl::Status finish() override { return absl::OkStatus(); }
  uint64_t left_out() const override { return 0; }
  uint64_t bytes_written() const override { return records.size() * sizeof(TraceRecord); }

  std::vector<TraceEvent> of_kind(EventKind kind) const {
    std::vector<TraceEvent> found;
    for (const TraceEvent& event : events) {
      if (event.kind == kind) found.push_back(event);
    }
    return found;
  }

  std::vector<TraceRecord> records;  ///< without the events
  std::vector<TraceEvent> events;
  std::vector<uint64_t> events_at;  ///< for each event, how many records came before

 private:
  uint64_t fail_after_;
};

}  // namespace gnomon

#endif  // GNOMON_TESTS_RECORD_COLLECTING_WRITER_H_

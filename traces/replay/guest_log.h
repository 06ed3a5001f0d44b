// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_REPLAY_GUEST_LOG_H_
#define TRACES_REPLAY_GUEST_LOG_H_

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "gnomon/traces/record.h"
#include "gnomon/traces/trace_writer.h"

namespace gnomon {

/// Writes down what a guest does, processor by processor, as a trace of a whole guest. A processor is a
/// thread of process 0 there.
class GuestLog {
 public:
  explicit GuestLog(TraceWriter& writer) : writer_(writer) {}

  void event(unsigned cpu, TraceEvent event) {
    switch_to(cpu);
    add_event(std::move(event));
  }
  void access(unsigned cpu, Gva va, AccessOp op, uint16_t size, bool supervisor) {
    switch_to(cpu);
    static constexpr RecordKind kKinds[] = {RecordKind::kLoad, RecordKind::kStore, RecordKind::kFetch};
    // One access is to one page; what lies in the next is an access of its own.
    const uint64_t here = bytes_of(PageSize::k4K) - va.offset_in(PageSize::k4K);
    const auto bytes = static_cast<uint16_t>(std::min<uint64_t>(size, here));
    batch_.records.push_back({va, bytes, kKinds[static_cast<size_t>(op)], supervisor});
    if (batch_.records.size() >= kBatch) write_out();
  }
  /// Writes what is held back; the first error there was, if any.
  absl::Status flush() {
    write_out();
    return status_;
  }

 private:
  static constexpr size_t kBatch = 4096;

  void switch_to(unsigned cpu);
  void add_event(TraceEvent event);
  void write_out();

  TraceWriter& writer_;
  TraceBatch batch_;
  unsigned cpu_ = 0;
  absl::Status status_;
};

}  // namespace gnomon

#endif  // TRACES_REPLAY_GUEST_LOG_H_

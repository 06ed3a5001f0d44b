// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_RECORD_H_
#define GNOMON_TRACES_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "gnomon/base/address.h"
#include "gnomon/traces/event.h"
#include "gnomon/x86/access.h"

namespace gnomon {

/// What one record of a trace says.
enum class RecordKind : uint8_t {
  kFetch,   ///< one instruction
  kLoad,
  kStore,
  kModify,  ///< a load followed by a store to the same bytes: two references
  kEvent,   ///< something other than a memory operation; see TraceEvent
};

/// One record: `size` bytes from `address`, which may cross a page. For kEvent, `address` is the index
/// of the event among those that came with this record (TraceReader::read), and the rest is 0.
struct TraceRecord {
  Gva address;
  uint16_t size = 0;
  RecordKind kind = RecordKind::kFetch;
  bool supervisor = false;  ///< made by the guest's kernel (traces of whole guests)
  friend bool operator==(const TraceRecord&, const TraceRecord&) = default;
};
static_assert(sizeof(TraceRecord) == 16);

/// The largest access a trace may hold; so no record touches more than two pages.
inline constexpr uint32_t kMaxRecordBytes = 4096;

/// Memory operations as counted everywhere ("references"): a modify is two, an event none.
constexpr uint64_t references_of(RecordKind kind) {
  return kind == RecordKind::kEvent ? 0 : kind == RecordKind::kModify ? 2 : 1;
}

/// A stretch of a trace. Event records point into `events`.
struct TraceBatch {
  std::vector<TraceRecord> records;
  std::vector<TraceEvent> events;
};

}  // namespace gnomon

#endif  // GNOMON_TRACES_RECORD_H_

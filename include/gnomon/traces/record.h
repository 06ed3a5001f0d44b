// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_RECORD_H_
#define GNOMON_TRACES_RECORD_H_

#include <cstdint>

#include "gnomon/base/address.h"
#include "gnomon/x86/access.h"

namespace gnomon {

/// What a recording says about one memory operation of the program.
enum class RecordKind : uint8_t {
  kFetch,
  kLoad,
  kStore,
  kModify,  ///< a load followed by a store to the same bytes
};

/// One record as it stands in a recording: `size` bytes from `address`, which may cross a page.
struct TraceRecord {
  Gva address;
  uint32_t size = 0;
  RecordKind kind = RecordKind::kFetch;
  friend bool operator==(const TraceRecord&, const TraceRecord&) = default;
};

/// The largest access a recording may hold; so no record touches more than two pages.
inline constexpr uint32_t kMaxRecordBytes = 4096;

/// One reference: an access within one page, as a vCPU makes it.
struct Reference {
  Gva address;
  AccessOp op = AccessOp::kFetch;
  uint64_t record = 0;  ///< number of the record it came from, from 1
  friend bool operator==(const Reference&, const Reference&) = default;
};

}  // namespace gnomon

#endif  // GNOMON_TRACES_RECORD_H_

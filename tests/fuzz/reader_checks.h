// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_FUZZ_READER_CHECKS_H_
#define TESTS_FUZZ_READER_CHECKS_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "gnomon/x86/format_long.h"
#include "tests/traces/reading.h"

// Any bytes at all as a trace: what a reader makes of them must not depend on how they arrive, only
// records that a guest can make may come out, and strict and lenient reading agree up to the first
// fault.

namespace gnomon {

inline void require(bool condition) {
  if (!condition) std::abort();
}

inline void check_record(const TraceRecord& r, const Reading& all) {
  if (r.kind == RecordKind::kEvent) {
    require(r.address.value() < all.events.size() && r.size == 0);
    return;
  }
  require(r.kind < RecordKind::kEvent);
  require(r.size >= 1 && r.size <= kMaxRecordBytes);
  const uint64_t last = r.address.value() + r.size - 1;
  require(last >= r.address.value());
  require(Long5::canonical(r.address) && Long5::canonical(Gva(last)));
}

/// After its end or error a reader says the same again.
inline void check_end_stays(MakeReader make, absl::string_view bytes, ReadMode mode) {
  const auto reader = make(std::make_unique<MemoryBytes>(bytes, "fuzz"), mode);
  const Reading all = read_to_end(*reader, TraceReader::kLeastBatch);
  const Reading again = read_to_end(*reader, TraceReader::kLeastBatch);
  require(again.records.empty() && again.events.empty() && again.status == all.status);
  require(again.stats.records == all.stats.records && again.stats.warning == all.stats.warning);
}

inline void check_reader(MakeReader make, absl::string_view bytes) {
  const Reading lenient = read_all(make, bytes, ReadMode::kLenient);
  const Reading strict = read_all(make, bytes, ReadMode::kStrict);
  require(lenient.status.ok());
  for (const TraceRecord& r : lenient.records) check_record(r, lenient);
  for (const TraceEvent& e : lenient.events) {
    require(e.kind < EventKind::kCount && e.text.size() <= kMaxEventText);
  }
  require(lenient.stats.records + lenient.stats.events == lenient.records.size());
  require(lenient.stats.events == lenient.events.size());

  require(strict.status.ok() == (lenient.stats.left_out == 0));
  require(strict.status.ok() || strict.status.message() == lenient.stats.first_fault);
  require(strict.records.size() <= lenient.records.size());
  require(std::equal(strict.records.begin(), strict.records.end(), lenient.records.begin()));
  require(std::equal(strict.events.begin(), strict.events.end(), lenient.events.begin()));

  for (const ReadMode mode : {ReadMode::kStrict, ReadMode::kLenient}) {
    const Reading& whole = mode == ReadMode::kStrict ? strict : lenient;
    for (const size_t piece : {size_t{1}, 2 + bytes.size() % 13, size_t{64}}) {
      const Reading r = read_all(make, bytes, mode, piece, TraceReader::kLeastBatch);
      require(r.records == whole.records && r.events == whole.events && r.status == whole.status);
      require(r.stats.left_out == whole.stats.left_out && r.stats.warning == whole.stats.warning);
      require(r.stats.first_fault == whole.stats.first_fault);
    }
    check_end_stays(make, bytes, mode);
  }
  require(lenient.stats.bytes <= bytes.size());
}

}  // namespace gnomon

#endif  // TESTS_FUZZ_READER_CHECKS_H_

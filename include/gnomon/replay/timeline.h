// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_REPLAY_TIMELINE_H_
#define GNOMON_REPLAY_TIMELINE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace gnomon {

/// Who is at work.
enum class TimelineTrack : uint8_t { kGuest, kMmu, kVmm };

/// Something that took modelled time. Slices of one processor and track do not overlap, unless one
/// contains the other.
struct TimelineSlice {
  absl::string_view name;  ///< of static storage: the counter or guest statistic it is counted in
  TimelineTrack track = TimelineTrack::kGuest;
  uint16_t vcpu = 0;
  double start = 0;   ///< in modelled cycles since measuring began
  double cycles = 0;  ///< 0: a moment
  uint64_t reference = 0;  ///< how many references of this processor came before
  uint64_t address = 0;    ///< guest-virtual, if it is about one
};

/// A value that holds from `at` on.
struct TimelineValue {
  absl::string_view name;
  uint16_t vcpu = 0;
  double at = 0;
  uint64_t value = 0;
};

/// What happened in one replay. Keeps the first `limit` slices and counts the rest.
struct Timeline {
  size_t limit = 200'000;
  double cycles_per_microsecond = 3000;  ///< to show cycles as time
  std::vector<TimelineSlice> slices;
  std::vector<TimelineValue> values;
  uint64_t dropped = 0;

  void add(const TimelineSlice& slice) {
    if (slices.size() < limit) {
      slices.push_back(slice);
    } else {
      ++dropped;
    }
  }
};

}  // namespace gnomon

#endif  // GNOMON_REPLAY_TIMELINE_H_

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/replay/series.h"

namespace gnomon {

absl::Span<const absl::string_view> Series::names() {
  static constexpr absl::string_view kAll[kNames] = {"tlb_misses",   "walk_references", "exits",
                                                     "guest_faults", "table_writes",    "cycles"};
  return kAll;
}

void Series::add(const Point& point) {
  points_.push_back(point);
  if (points_.size() < most_) return;
  for (size_t i = 0; i < points_.size() / 2; ++i) {
    for (size_t k = 0; k < kNames; ++k) points_[i][k] = points_[2 * i][k] + points_[2 * i + 1][k];
  }
  points_.resize(points_.size() / 2);
  interval_ *= 2;
}

}  // namespace gnomon

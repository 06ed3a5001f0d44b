// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_REPLAY_SERIES_H_
#define GNOMON_REPLAY_SERIES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace gnomon {

/// What happened over time: sums over stretches of `interval` references each (the last may be shorter).
/// Of bounded length whatever the length of a trace: when there are too many stretches, neighbours are
/// added up and the interval doubles.
class Series {
 public:
  static constexpr size_t kNames = 6;
  using Point = std::array<double, kNames>;
  static absl::Span<const absl::string_view> names();

  /// Keeps between `points` and twice that.
  explicit Series(size_t points = 200, uint64_t interval = 4096)
      : most_(2 * (points < 1 ? 1 : points)), interval_(interval) {}

  /// How many references from `done` on until the running stretch ends.
  uint64_t until_next(uint64_t done) const { return interval_ - done % interval_; }
  /// A stretch of `interval` references has ended.
  void add(const Point& point);

  uint64_t interval() const { return interval_; }
  const std::vector<Point>& points() const { return points_; }

 private:
  size_t most_;
  uint64_t interval_;
  std::vector<Point> points_;
};

}  // namespace gnomon

#endif  // GNOMON_REPLAY_SERIES_H_

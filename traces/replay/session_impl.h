// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_REPLAY_SESSION_IMPL_H_
#define TRACES_REPLAY_SESSION_IMPL_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gnomon/replay/session.h"
#include "traces/replay/feed.h"

namespace gnomon {

/// A machine, and what is measured of it besides its own counters.
struct Column {
  std::unique_ptr<ReplayMachine> machine;
  Series series;
  Counters at_last_point;
  CacheStats caches_at_last_point;
  double seconds = 0;
};

/// One replay, in two parts: session.cc opens the traces and makes the result, session_run.cc runs them.
class Session {
 public:
  Session(const ReplaySetup& setup, ReplayProgress* progress) : setup_(setup), progress_(progress) {}

  absl::Status open();
  absl::Status create(absl::Span<const std::string> backends);
  absl::Status run();
  SessionResult result();

 private:
  absl::StatusOr<std::unique_ptr<Feed>> open_feed(const std::string& path) const;
  absl::Status take_guest();
  void tell_totals();
  absl::Status skip(Feed& feed, uint32_t group);
  absl::Status skip_and_join(uint32_t group);
  absl::StatusOr<bool> turn(Feed& feed, uint32_t group);
  absl::Status run_piece(Feed& feed, uint32_t group, const Piece& piece);
  absl::Status run_between_marks(Feed& feed, uint32_t group, const Piece& piece);
  absl::Status ended(const Feed& feed, const Column& column, const absl::Status& status) const;
  absl::Status note_rejected(Feed& feed);
  uint64_t until_boundary() const;
  void count(const Piece& piece);
  void measure_as(const Feed& feed);
  absl::Status nothing_counted() const;
  void end_stretch();
  bool counted_since_last_point() const;
  unsigned copies() const { return std::max(setup_.copies, 1u); }
  bool stopped() const { return progress_ != nullptr && progress_->stop.load(); }

  const ReplaySetup& setup_;
  ReplayProgress* progress_;
  std::vector<std::unique_ptr<Feed>> feeds_;  // trace by trace, each copy of one after the other
  MachineOptions machine_;
  std::vector<Column> columns_;
  bool measuring_ = false;
  uint64_t skipped_ = 0;
  uint64_t warmed_up_ = 0;
  uint64_t measured_ = 0;
  uint64_t stretch_ = 0;  // of them, in the stretch of the series that is under way
  OpCounts ops_{};
};

}  // namespace gnomon

#endif  // TRACES_REPLAY_SESSION_IMPL_H_

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "traces/replay/session_impl.h"
#include "traces/replay/timeline_probe.h"

namespace gnomon {
namespace {

constexpr uint64_t kNoLimit = ~uint64_t{0};

void note_marks(Feed& feed, const Piece& piece) {
  for (const TraceRecord& r : piece.records) {
    if (r.kind != RecordKind::kEvent) continue;
    const TraceEvent& event = piece.events[r.address.value()];
    if (event.kind == EventKind::kMark && event.flags != 0) feed.marked = event.flags == 1;
  }
}

}  // namespace

/// What ended a machine's run, and where.
absl::Status Session::ended(const Feed& feed, const Column& column, const absl::Status& status) const {
  const RunReport& report = column.machine->last_run();
  const std::string place =
      report.ended_at == nullptr ? "" : absl::StrCat(feed.place(*report.ended_at), ": ");
  const std::string text = absl::StrCat(feed.reader().name(), ": ", place, status.message());
  const bool rejected = absl::IsInvalidArgument(status) && !machine_.whole_guest;
  if (!rejected || &column == &columns_.front()) return absl::Status(status.code(), text);
  return absl::InternalError(absl::StrFormat("%s (%s took that)", text, columns_.front().machine->spec()));
}

absl::Status Session::skip(Feed& feed, uint32_t group) {
  while (feed.taken() < setup_.skip && !stopped()) {
    const absl::StatusOr<Piece> piece = feed.take(setup_.skip - feed.taken());
    if (!piece.ok()) return piece.status();
    if (piece->empty()) break;
    skipped_ += total(piece->ops);
    note_marks(feed, *piece);
    for (Column& column : columns_) {
      absl::Status s = column.machine->run_events(group, piece->records, piece->events);
      if (!s.ok()) return ended(feed, column, s);
    }
    if (absl::Status s = note_rejected(feed); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status Session::run_piece(Feed& feed, uint32_t group, const Piece& piece) {
  using Clock = std::chrono::steady_clock;
  for (Column& column : columns_) {
    const Clock::time_point start = Clock::now();
    absl::Status s = column.machine->run(group, piece.records, piece.events);
    if (!s.ok()) return ended(feed, column, s);
    if (measuring_) column.seconds += std::chrono::duration<double>(Clock::now() - start).count();
  }
  if (absl::Status s = note_rejected(feed); !s.ok()) return s;
  count(piece);
  return absl::OkStatus();
}

/// The same guest runs on all machines, so all reject the same records.
absl::Status Session::note_rejected(Feed& feed) {
  const RunReport& first = columns_.front().machine->last_run();
  for (const Column& column : columns_) {
    const RunReport& other = column.machine->last_run();
    if (machine_.whole_guest ||
        (other.rejected == first.rejected && other.first_rejected == first.first_rejected &&
         other.rejected_references == first.rejected_references)) {
      continue;
    }
    const bool in_first = first.first_rejected != nullptr;
    const RunReport& refuser = in_first ? first : other;
    return absl::InternalError(absl::StrFormat(
        "%s: %s: %s rejects %d records of a piece and %s %d; the first: %s", feed.reader().name(),
        feed.place(*refuser.first_rejected), columns_.front().machine->spec(), first.rejected,
        column.machine->spec(), other.rejected, refuser.reason));
  }
  if (first.rejected > 0 && feed.rejected == 0) {
    feed.first_rejected = absl::StrCat(feed.place(*first.first_rejected), ": ", first.reason);
  }
  feed.rejected += first.rejected;
  return absl::OkStatus();
}

/// What was rejected was not run: the window goes on by what was.
void Session::count(const Piece& piece) {
  if (progress_ != nullptr) {
    progress_->references.fetch_add(total(piece.ops), std::memory_order_relaxed);
  }
  OpCounts ops = piece.ops;
  const OpCounts& rejected = columns_.front().machine->last_run().rejected_references;
  for (size_t i = 0; i < ops.size(); ++i) ops[i] -= rejected[i];
  const uint64_t references = total(ops);
  if (!measuring_) {
    if (warmed_up_ < setup_.warmup) warmed_up_ += references;
    return;
  }
  measured_ += references;
  stretch_ += references;
  for (size_t i = 0; i < ops_.size(); ++i) ops_[i] += ops[i];
  if (stretch_ >= columns_.front().series.interval()) end_stretch();
}

/// Adds a point to each series: what was counted since the last one.
void Session::end_stretch() {
  stretch_ = 0;
  for (Column& column : columns_) {
    const Counters now = column.machine->counters();
    const CacheStats caches_now = column.machine->cache_stats();
    const Counters d = difference(now, column.at_last_point);
    const CacheStats caches = difference(caches_now, column.caches_at_last_point);
    column.at_last_point = now;
    column.caches_at_last_point = caches_now;
    const auto value = [](uint64_t n) { return static_cast<double>(n); };
    const bool with_caches = column.machine->models_caches();
    column.series.add({value(d[Counter::kTlbMisses]), value(d.walk_references()), value(d.exits()),
                       value(d[Counter::kGuestFaults]), value(d[Counter::kTableWrites]),
                       price(setup_.cost, d, with_caches ? &caches : nullptr).total});
  }
}

/// What happened after the last reference, such as the end of a process.
bool Session::counted_since_last_point() const {
  for (const Column& column : columns_) {
    const Counters d = difference(column.machine->counters(), column.at_last_point);
    for (const CounterInfo& row : counter_table()) {
      if (row.kind == CounterKind::kSum && d[row.id] != 0) return true;
    }
  }
  return false;
}

/// References until the phase or the stretch of the series ends.
uint64_t Session::until_boundary() const {
  if (!measuring_ && setup_.warmup > warmed_up_) return setup_.warmup - warmed_up_;
  // Where a region may begin within the piece, at most so much of it is counted.
  const uint64_t phase = setup_.limit == 0 ? kNoLimit : setup_.limit - measured_;
  return std::min(phase, columns_.front().series.interval() - stretch_);
}

/// Counts from here on if that is wanted where this stream is.
void Session::measure_as(const Feed& feed) {
  const bool on = warmed_up_ >= setup_.warmup && (feed.marked || !setup_.roi);
  if (on == measuring_) return;
  measuring_ = on;
  for (Column& column : columns_) column.machine->measure(on);
}

/// Cuts a piece at the marks of a region of interest, and counts only what is inside one.
absl::Status Session::run_between_marks(Feed& feed, uint32_t group, const Piece& piece) {
  size_t from = 0;
  for (size_t i = 0; i <= piece.records.size(); ++i) {
    const TraceEvent* mark = nullptr;
    if (i < piece.records.size()) {
      if (piece.records[i].kind != RecordKind::kEvent) continue;
      mark = &piece.events[piece.records[i].address.value()];
      if (mark->kind != EventKind::kMark || mark->flags == 0) continue;
    }
    const absl::Span<const TraceRecord> records = piece.records.subspan(from, i - from);
    if (absl::Status s = run_piece(feed, group, {records, piece.events, count_ops(records)}); !s.ok()) {
      return s;
    }
    from = i;
    if (mark == nullptr) break;
    feed.marked = mark->flags == 1;
    measure_as(feed);
  }
  return absl::OkStatus();
}

/// One slice of a stream. False: it has ended.
absl::StatusOr<bool> Session::turn(Feed& feed, uint32_t group) {
  uint64_t left = feeds_.size() > 1 ? std::max<uint64_t>(setup_.slice, 1) : kNoLimit;
  while (left > 0 && !stopped()) {
    measure_as(feed);
    if (setup_.limit != 0 && measured_ >= setup_.limit) break;
    const absl::StatusOr<Piece> piece = feed.take(std::min(left, until_boundary()));
    if (!piece.ok()) return piece.status();
    if (piece->empty()) return false;
    absl::Status s = setup_.roi ? run_between_marks(feed, group, *piece) : run_piece(feed, group, *piece);
    if (!s.ok()) return s;
    left -= std::min(left, total(piece->ops));
    if (progress_ != nullptr) {
      const uint64_t bytes = feed.reader().stats().bytes;
      progress_->bytes.fetch_add(bytes - std::exchange(feed.bytes_told, bytes), std::memory_order_relaxed);
    }
  }
  return true;
}

/// A copy that shares its reading with the first one has what is skipped to itself: it would be kept
/// for all of them otherwise.
absl::Status Session::skip_and_join(uint32_t group) {
  Feed& feed = *feeds_[group];
  if (feed.joined()) return skip(feed, group);
  const uint32_t trace = group / copies();
  if (setup_.skip > 0) {
    const absl::StatusOr<std::unique_ptr<Feed>> own = open_feed(setup_.traces[trace]);
    if (!own.ok()) return own.status();
    if (absl::Status s = skip(**own, group); !s.ok()) return s;
    feed.rejected = (*own)->rejected;
    feed.first_rejected = (*own)->first_rejected;
  }
  feed.join(*feeds_[trace * copies()]);
  return absl::OkStatus();
}

absl::Status Session::run() {
  for (uint32_t group = 0; group < feeds_.size(); ++group) {
    if (absl::Status s = skip_and_join(group); !s.ok()) return s;
  }
  std::vector<bool> ended(feeds_.size(), false);
  size_t running = feeds_.size();
  const auto enough = [&] {
    return setup_.limit != 0 && measured_ >= setup_.limit;
  };
  while (running > 0 && !enough() && !stopped()) {
    for (uint32_t group = 0; group < feeds_.size() && !enough() && !stopped(); ++group) {
      if (ended[group]) continue;
      const absl::StatusOr<bool> more = turn(*feeds_[group], group);
      if (!more.ok()) return more.status();
      if (!*more) {
        ended[group] = true;
        --running;
      }
    }
  }
  if (stretch_ > 0 || counted_since_last_point()) end_stretch();
  for (Column& column : columns_) column.machine->measure(false);
  if (measured_ > 0 || stopped()) return absl::OkStatus();
  return nothing_counted();
}

absl::Status Session::nothing_counted() const {
  std::string all;
  std::string amiss;
  for (size_t i = 0; i < feeds_.size(); i += copies()) {
    const auto& feed = feeds_[i];
    const absl::string_view name = feed->reader().name();
    const ReadStats& stats = feed->reader().stats();
    // What was left out may be why.
    std::string here;
    if (stats.left_out > 0) {
      absl::StrAppendFormat(&here, "; %d left out, the first: %s", stats.left_out,
                            absl::StripPrefix(stats.first_fault, absl::StrCat(name, ": ")));
    }
    if (feed->rejected > 0) {
      absl::StrAppendFormat(&here, "; %d rejected by the guest, the first: %s", feed->rejected,
                            feed->first_rejected);
    }
    if (stats.records == 0) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": no memory operations in it", here));
    }
    absl::StrAppend(&all, all.empty() ? "" : ", ", name);
    if (amiss.empty()) amiss = std::move(here);
  }
  const bool whole = setup_.skip == 0 && setup_.warmup == 0;
  return absl::InvalidArgumentError(absl::StrCat(
      all,
      setup_.roi ? ": no region of interest is marked"
      : whole    ? ": no memory operation that the guest can run"
                 : ": nothing left to count",
      whole ? "" : " after --skip and --warmup", amiss));
}

}  // namespace gnomon

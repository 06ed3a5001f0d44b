// SPDX-License-Identifier: Apache-2.0
#include "gnomon/replay/session.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/traces/formats.h"
#include "traces/replay/feed.h"
#include "traces/replay/timeline_probe.h"

namespace gnomon {
namespace {

constexpr uint64_t kNoLimit = ~uint64_t{0};

/// A machine, and what is measured of it besides its own counters.
struct Column {
  std::unique_ptr<ReplayMachine> machine;
  Series series;
  Counters at_last_point;
  CacheStats caches_at_last_point;
  double seconds = 0;
};

class Session {
 public:
  Session(const ReplaySetup& setup, ReplayProgress* progress) : setup_(setup), progress_(progress) {}

  absl::Status open();
  absl::Status create(absl::Span<const std::string> backends);
  absl::Status run();
  SessionResult result();

 private:
  absl::Status take_guest();
  void tell_totals();
  absl::Status skip(Feed& feed, uint32_t group);
  absl::StatusOr<bool> turn(Feed& feed, uint32_t group);
  absl::Status run_piece(const Feed& feed, uint32_t group, const Piece& piece);
  absl::Status run_between_marks(const Feed& feed, uint32_t group, const Piece& piece);
  uint64_t until_boundary() const;
  void count(const Piece& piece);
  void measure(bool on);
  void note_marks(const Piece& piece);
  void end_stretch();
  bool counted_since_last_point() const;
  bool stopped() const { return progress_ != nullptr && progress_->stop.load(); }

  const ReplaySetup& setup_;
  ReplayProgress* progress_;
  std::vector<std::unique_ptr<Feed>> feeds_;  // trace by trace, each copy of one after the other
  MachineOptions machine_;
  std::vector<Column> columns_;
  bool measuring_ = false;
  bool marked_ = false;  // inside a region of interest
  uint64_t skipped_ = 0;
  uint64_t warmed_up_ = 0;
  uint64_t measured_ = 0;
  uint64_t stretch_ = 0;  // of them, in the stretch of the series that is under way
  OpCounts ops_{};
};

absl::Status Session::open() {
  machine_ = setup_.machine;
  for (const std::string& path : setup_.traces) {
    for (unsigned copy = 0; copy < std::max(setup_.copies, 1u); ++copy) {
      // Before it is opened, which would wait for it.
      if (path == "-" && setup_.copies > 1) {
        return absl::InvalidArgumentError(
            "standard input can be read only once; store the trace in a file to run copies of it");
      }
      absl::StatusOr<std::unique_ptr<TraceReader>> reader =
          open_trace(path, {setup_.format, setup_.mode});
      if (!reader.ok()) return reader.status();
      feeds_.push_back(std::make_unique<Feed>(*std::move(reader)));
      const absl::StatusOr<Piece> first = feeds_.back()->prime();
      if (!first.ok()) return first.status();
    }
  }
  if (progress_ != nullptr) tell_totals();
  return take_guest();
}

void Session::tell_totals() {
  uint64_t bytes = 0;
  uint64_t references = 0;
  bool know_bytes = true;
  bool know_references = true;
  for (const auto& feed : feeds_) {
    const TraceReader& reader = feed->reader();
    know_bytes &= reader.total_bytes().has_value();
    know_references &= reader.info().references.has_value();
    bytes += reader.total_bytes().value_or(0);
    references += reader.info().references.value_or(0);
  }
  if (setup_.limit != 0) {
    const uint64_t window = setup_.warmup + setup_.limit;
    references = know_references ? std::min(references, window) : window;
  }
  if (know_references || setup_.limit != 0) progress_->total_references.store(references);
  if (know_bytes && setup_.limit == 0) progress_->total_bytes.store(bytes);
}

/// A trace of a whole guest says first how much memory the guest has.
absl::Status Session::take_guest() {
  for (const auto& feed : feeds_) {
    const TraceReader& reader = feed->reader();
    if (!reader.info().guest) continue;
    if (feeds_.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          reader.name(), ": a trace of a whole guest is replayed alone, without others or copies"));
    }
    const absl::StatusOr<uint64_t> bytes = feed->guest_memory();
    if (!bytes.ok()) return bytes.status();
    machine_.whole_guest = true;
    machine_.guest.memory_bytes = *bytes;
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status Session::create(absl::Span<const std::string> backends) {
  for (const std::string& backend : backends) {
    MachineOptions options = machine_;
    options.backend = backend;
    options.move_data = setup_.audit;
    absl::StatusOr<std::unique_ptr<ReplayMachine>> machine = ReplayMachine::create(options);
    if (!machine.ok()) return machine.status();
    columns_.push_back({*std::move(machine), Series(setup_.series_points), {}, {}});
  }
  return absl::OkStatus();
}

absl::Status at_reference(const Feed& feed, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrFormat("%s: before reference %d: %s", feed.reader().name(),
                                                     feed.taken(), status.message()));
}

absl::Status Session::skip(Feed& feed, uint32_t group) {
  while (feed.taken() < setup_.skip && !stopped()) {
    const absl::StatusOr<Piece> piece = feed.take(setup_.skip - feed.taken());
    if (!piece.ok()) return piece.status();
    if (piece->empty()) break;
    skipped_ += total(piece->ops);
    note_marks(*piece);
    for (Column& column : columns_) {
      absl::Status s = column.machine->run_events(group, piece->records, piece->events);
      if (!s.ok()) return at_reference(feed, s);
    }
  }
  return absl::OkStatus();
}

absl::Status Session::run_piece(const Feed& feed, uint32_t group, const Piece& piece) {
  using Clock = std::chrono::steady_clock;
  for (Column& column : columns_) {
    const Clock::time_point start = Clock::now();
    absl::Status s = column.machine->run(group, piece.records, piece.events);
    if (!s.ok()) return at_reference(feed, s);
    if (measuring_) column.seconds += std::chrono::duration<double>(Clock::now() - start).count();
  }
  count(piece);
  return absl::OkStatus();
}

void Session::count(const Piece& piece) {
  const uint64_t references = total(piece.ops);
  if (progress_ != nullptr) progress_->references.fetch_add(references, std::memory_order_relaxed);
  if (!measuring_) {
    if (warmed_up_ < setup_.warmup) warmed_up_ += references;
    return;
  }
  measured_ += references;
  stretch_ += references;
  for (size_t i = 0; i < ops_.size(); ++i) ops_[i] += piece.ops[i];
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

void Session::measure(bool on) {
  measuring_ = on;
  for (Column& column : columns_) column.machine->measure(on);
}

void Session::note_marks(const Piece& piece) {
  for (const TraceRecord& r : piece.records) {
    if (r.kind != RecordKind::kEvent) continue;
    const TraceEvent& event = piece.events[r.address.value()];
    if (event.kind == EventKind::kMark && event.flags != 0) marked_ = event.flags == 1;
  }
}

/// Cuts a piece at the marks of a region of interest, and counts only what is inside one.
absl::Status Session::run_between_marks(const Feed& feed, uint32_t group, const Piece& piece) {
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
    marked_ = mark->flags == 1;
    measure(marked_ && warmed_up_ >= setup_.warmup);
  }
  return absl::OkStatus();
}

/// One slice of a stream. False: it has ended.
absl::StatusOr<bool> Session::turn(Feed& feed, uint32_t group) {
  uint64_t left = feeds_.size() > 1 ? std::max<uint64_t>(setup_.slice, 1) : kNoLimit;
  while (left > 0 && !stopped()) {
    if (!measuring_ && (marked_ || !setup_.roi) && warmed_up_ >= setup_.warmup) measure(true);
    if (setup_.limit != 0 && measured_ >= setup_.limit) break;
    const absl::StatusOr<Piece> piece = feed.take(std::min(left, until_boundary()));
    if (!piece.ok()) return piece.status();
    if (piece->empty()) return false;
    absl::Status s = setup_.roi ? run_between_marks(feed, group, *piece) : run_piece(feed, group, *piece);
    if (!s.ok()) return s;
    left -= std::min(left, total(piece->ops));
    if (progress_ != nullptr) {
      uint64_t bytes = 0;
      for (const auto& f : feeds_) bytes += f->reader().stats().bytes;
      progress_->bytes.store(bytes, std::memory_order_relaxed);
    }
  }
  return true;
}

absl::Status Session::run() {
  for (uint32_t group = 0; group < feeds_.size(); ++group) {
    if (absl::Status s = skip(*feeds_[group], group); !s.ok()) return s;
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
  std::string all;
  for (const auto& feed : feeds_) {
    absl::StrAppend(&all, all.empty() ? "" : ", ", feed->reader().name());
    if (feed->reader().stats().records > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(feed->reader().name(), ": no memory operations in it"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(all, setup_.roi ? ": no region of interest is marked" : ": nothing left to count after --skip and --warmup"));
}

SessionResult Session::result() {
  SessionResult r;
  const unsigned copies = std::max(setup_.copies, 1u);
  for (size_t i = 0; i < feeds_.size(); i += copies) {
    const TraceReader& reader = feeds_[i]->reader();
    r.traces.push_back({reader.info(), reader.stats(), std::string(reader.name())});
  }
  r.references = ops_;
  r.skipped = skipped_;
  r.warmed_up = warmed_up_;
  for (Column& column : columns_) {
    ReplayMachine& machine = *column.machine;
    ReplayResult m;
    m.spec = machine.spec();
    m.counters = machine.counters();
    m.guest = machine.guest_stats();
    m.caches = machine.cache_stats();
    m.has_caches = machine.models_caches();
    m.cost = price(setup_.cost, m.counters, m.has_caches ? &m.caches : nullptr);
    m.series = column.series;
    m.seconds = column.seconds;
    if (setup_.audit) {
      for (const AuditFinding& finding : machine.backend().audit()) {
        m.problems.push_back(absl::StrFormat("invariant %d: %s", finding.invariant, finding.text));
      }
      m.memory_digests = machine.memory_digests();
    }
    r.machines.push_back(std::move(m));
  }
  return r;
}

}  // namespace

absl::StatusOr<SessionResult> replay(const ReplaySetup& setup, absl::Span<const std::string> backends,
                                     ReplayProgress* progress) {
  if (setup.traces.empty() || backends.empty()) {
    return absl::InvalidArgumentError("nothing to replay: no trace, or no backend");
  }
  Session session(setup, progress);
  if (absl::Status s = session.open(); !s.ok()) return s;
  if (absl::Status s = session.create(backends); !s.ok()) return s;
  if (absl::Status s = session.run(); !s.ok()) return s;
  return session.result();
}

}  // namespace gnomon

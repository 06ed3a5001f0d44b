// SPDX-License-Identifier: Apache-2.0
#include "gnomon/replay/session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/traces/formats.h"
#include "traces/replay/session_impl.h"

namespace gnomon {

absl::StatusOr<std::unique_ptr<Feed>> Session::open_feed(const std::string& path) const {
  absl::StatusOr<std::unique_ptr<TraceReader>> reader =
      open_trace(path, {setup_.format, setup_.mode});
  if (!reader.ok()) return reader.status();
  auto feed = std::make_unique<Feed>(*std::move(reader));
  if (absl::Status s = feed->prime().status(); !s.ok()) return s;
  return feed;
}

absl::Status Session::open() {
  machine_ = setup_.machine;
  machine_.lenient = setup_.mode == ReadMode::kLenient;
  const bool shared = setup_.slice <= kMostSharedSlice;
  for (const std::string& path : setup_.traces) {
    // Before it is opened, which would wait for it.
    if (path == "-" && setup_.copies > 1) {
      return absl::InvalidArgumentError(
          "standard input can be read only once; store the trace in a file to run copies of it");
    }
    for (unsigned copy = 0; copy < copies(); ++copy) {
      if (copy > 0 && shared) {
        feeds_.push_back(std::make_unique<Feed>(feeds_.back()->batches()));
        continue;
      }
      absl::StatusOr<std::unique_ptr<Feed>> feed = open_feed(path);
      if (!feed.ok()) return feed.status();
      feeds_.push_back(*std::move(feed));
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
    if (machine_.guest_trace != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(reader.name(),
                       ": a trace of a whole guest already, which a replay cannot write "
                       "once more; copy or convert it"));
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

SessionResult Session::result() {
  SessionResult r;
  for (size_t i = 0; i < feeds_.size(); i += copies()) {
    const TraceReader& reader = feeds_[i]->reader();
    TraceSummary summary{reader.info(), reader.stats(), std::string(reader.name()), 0, ""};
    for (size_t copy = i; copy < i + copies(); ++copy) {
      if (summary.rejected == 0) summary.first_rejected = feeds_[copy]->first_rejected;
      summary.rejected += feeds_[copy]->rejected;
    }
    r.traces.push_back(std::move(summary));
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

absl::Status check_rejected(const SessionResult& a, const SessionResult& b) {
  for (size_t i = 0; i < std::min(a.traces.size(), b.traces.size()); ++i) {
    const TraceSummary& x = a.traces[i];
    const TraceSummary& y = b.traces[i];
    if (x.info.guest || (x.rejected == y.rejected && x.first_rejected == y.first_rejected))
      continue;
    const std::string& first = x.rejected != 0 ? x.first_rejected : y.first_rejected;
    return absl::InternalError(absl::StrFormat("%s: %s rejects %d records and %s %d; the first: %s",
                                               x.name, a.machines.front().spec, x.rejected,
                                               b.machines.front().spec, y.rejected, first));
  }
  return absl::OkStatus();
}

absl::StatusOr<SessionResult> replay(const ReplaySetup& setup,
                                     absl::Span<const std::string> backends,
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

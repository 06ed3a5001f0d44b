// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/traces/byte_source.h"
#include "gnomon/traces/lackey.h"
#include "gnomon/traces/reference_stream.h"
#include "gnomon/traces/replay_machine.h"
#include "tools/commands.h"
#include "tools/compare_options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/report.h"
#include "tools/units.h"

namespace gnomon::tools {
namespace {

constexpr size_t kBlock = 65536;  // references decoded at once, then run by each machine in turn

/// One pass over a recording that drives a machine for each backend.
class Comparison {
 public:
  Comparison(const CompareOptions& options, ByteSource& source)
      : options_(options),
        source_(source),
        reader_(source,
                options.lenient ? LackeyReader::Mode::kLenient : LackeyReader::Mode::kStrict),
        stream_(reader_),
        progress_(!options.quiet) {}

  absl::Status set_up();
  absl::Status replay();
  CompareResult result() const;
  /// What the user should know besides the result, on standard error.
  void print_notes(const CompareResult& result);
  void erase_progress() { progress_.erase(); }

 private:
  using Counts = std::array<uint64_t, 3>;
  struct Column {
    std::unique_ptr<ReplayMachine> machine;
    double seconds = 0;
  };

  enum class Phase { kSkip, kWarmup, kMeasure };

  absl::StatusOr<uint64_t> pass(Phase phase, uint64_t most);
  absl::Status run_block(absl::Span<const Reference> references);
  size_t block_size() const;
  void audit(size_t column, BackendResult& result) const;

  const CompareOptions& options_;
  ByteSource& source_;
  LackeyReader reader_;
  ReferenceStream stream_;
  Progress progress_;
  std::vector<Column> columns_;
  std::vector<Reference> block_;
  uint64_t skipped_ = 0;
  uint64_t warmed_up_ = 0;
  uint64_t measured_ = 0;
  Counts by_op_{};
};

absl::Status Comparison::set_up() {
  for (const std::string& backend : options_.backends) {
    ReplayOptions o;
    o.backend = backend;
    o.memory_bytes = options_.memory_bytes;
    o.host_page = options_.host_page;
    o.tlb = options_.tlb;
    o.processes = options_.processes;
    o.slice = options_.slice;
    o.move_data = options_.audit;
    absl::StatusOr<std::unique_ptr<ReplayMachine>> machine = ReplayMachine::create(o);
    if (!machine.ok()) return machine.status();
    columns_.push_back({*std::move(machine)});
  }
  block_.resize(block_size());
  return absl::OkStatus();
}

/// A whole number of slices, so that each is there to be replayed in every process.
size_t Comparison::block_size() const {
  if (options_.processes == 1) return kBlock;
  return std::max<uint64_t>(kBlock / options_.slice, 1) * options_.slice;
}

absl::Status Comparison::run_block(absl::Span<const Reference> references) {
  using Clock = std::chrono::steady_clock;
  for (Column& column : columns_) {
    const Clock::time_point start = Clock::now();
    if (absl::Status s = column.machine->run(references); !s.ok()) return s;
    column.seconds += std::chrono::duration<double>(Clock::now() - start).count();
  }
  return absl::OkStatus();
}

/// Takes up to `most` references from the stream; returns how many there were.
absl::StatusOr<uint64_t> Comparison::pass(Phase phase, uint64_t most) {
  uint64_t taken = 0;
  while (taken < most) {
    const auto want = static_cast<size_t>(std::min<uint64_t>(block_.size(), most - taken));
    const absl::StatusOr<size_t> got = stream_.read(absl::MakeSpan(block_).first(want));
    if (!got.ok()) return got.status();
    if (*got == 0) break;
    const absl::Span<const Reference> references = absl::MakeConstSpan(block_).first(*got);
    if (phase != Phase::kSkip) {
      if (absl::Status s = run_block(references); !s.ok()) return s;
    }
    if (phase == Phase::kMeasure) {
      for (const Reference& r : references) ++by_op_[static_cast<size_t>(r.op)];
    }
    taken += *got;
    progress_.update(skipped_ + warmed_up_ + taken, reader_.stats().bytes, source_.total_bytes());
  }
  return taken;
}

absl::Status Comparison::replay() {
  const struct {
    Phase phase;
    uint64_t most;
    uint64_t& taken;
  } phases[] = {
      {Phase::kSkip, options_.skip, skipped_},
      {Phase::kWarmup, options_.warmup, warmed_up_},
      {Phase::kMeasure, options_.limit == 0 ? ~uint64_t{0} : options_.limit, measured_},
  };
  for (const auto& [phase, most, taken] : phases) {
    if (phase == Phase::kMeasure) {
      for (Column& column : columns_) {
        column.machine->start_measuring();
        column.seconds = 0;
      }
    }
    const absl::StatusOr<uint64_t> n = pass(phase, most);
    if (!n.ok()) return n.status();
    taken = *n;
  }
  if (measured_ > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      reader_.stats().records == 0
          ? absl::StrCat(source_.name(), ": no records in it (made with --trace-mem=yes?)")
          : absl::StrCat(source_.name(), ": nothing left to count after --skip and --warmup"));
}

void Comparison::audit(size_t column, BackendResult& result) const {
  const ReplayMachine& machine = *columns_[column].machine;
  for (const AuditFinding& finding : machine.backend().audit()) {
    result.problems.push_back(absl::StrFormat("invariant %d: %s", finding.invariant, finding.text));
  }
  if (std::string difference = compare_guests(*columns_[0].machine, machine); !difference.empty()) {
    result.problems.push_back(std::move(difference));
  }
}

CompareResult Comparison::result() const {
  CompareResult r;
  r.trace = std::string(source_.name());
  r.reader = reader_.stats();
  r.references = by_op_;
  r.skipped = skipped_;
  r.warmed_up = warmed_up_;
  r.tlb = options_.tlb;
  r.memory_bytes = options_.memory_bytes;
  r.host_page = std::string(name_of(options_.host_page));
  r.processes = options_.processes;
  r.slice = options_.slice;
  r.audited = options_.audit;
  for (size_t i = 0; i < columns_.size(); ++i) {
    const ReplayMachine& machine = *columns_[i].machine;
    BackendResult b;
    b.spec = machine.spec();
    b.counters = machine.counters();
    b.guest = machine.guest_stats();
    if (options_.audit) audit(i, b);
    r.backends.push_back(std::move(b));
  }
  return r;
}

void Comparison::print_notes(const CompareResult& result) {
  const LackeyStats& stats = result.reader;
  if (stats.cut_off) print_warning("the last line of the recording is cut off");
  if (const uint64_t n = stats.rejected_lines(); n > 0) {
    print_warning(absl::StrCat(with_separators(n), " lines that are no records were left out"));
  }
  if (options_.quiet) return;
  std::string rates;
  for (const Column& column : columns_) {
    const uint64_t references = measured_ * options_.processes;
    absl::StrAppendFormat(&rates, "%s %s %.1f", rates.empty() ? "" : ",", column.machine->spec(),
                          1e-6 * static_cast<double>(references) / std::max(column.seconds, 1e-9));
  }
  print_message(absl::StrCat("replayed, in million references a second:", rates));
}

std::string in_form(const CompareResult& result, const CompareOptions& options) {
  switch (options.form) {
    case ReportForm::kJson: return to_json(result);
    case ReportForm::kCsv: return to_csv(result);
    case ReportForm::kText: break;
  }
  return to_text(result, options.verbose);
}

}  // namespace

int run_compare(const Arguments& arguments) {
  const absl::StatusOr<CompareOptions> options = compare_options(arguments);
  if (!options.ok()) return report_failure(options.status());
  const absl::StatusOr<std::unique_ptr<ByteSource>> source = open_bytes(options->trace);
  if (!source.ok()) return report_failure(source.status());

  Comparison comparison(*options, **source);
  if (absl::Status s = comparison.set_up(); !s.ok()) return report_failure(s);
  const absl::Status replayed = comparison.replay();
  comparison.erase_progress();
  if (!replayed.ok()) return report_failure(replayed);

  const CompareResult result = comparison.result();
  comparison.print_notes(result);
  const bool sound = std::all_of(result.backends.begin(), result.backends.end(),
                                 [](const BackendResult& b) { return b.problems.empty(); });
  return write_result(in_form(result, *options), sound ? kSuccess : kMismatch);
}

}  // namespace gnomon::tools

// SPDX-License-Identifier: Apache-2.0
//
// The verbs `replay` and `compare`: the same replay, for one backend or for several side by side.
#include <algorithm>
#include <memory>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "gnomon/traces/gtrace.h"
#include "gnomon/traces/trace_writer.h"
#include "gnomon/version.h"
#include "tools/chrome_trace.h"
#include "tools/commands.h"
#include "tools/export_paths.h"
#include "tools/output.h"
#include "tools/replay_jobs.h"
#include "tools/replay_plan.h"
#include "tools/replay_report.h"
#include "tools/run_machine.h"
#include "tools/units.h"

namespace gnomon::tools {
namespace {

using Sink = std::unique_ptr<ByteSink>;

/// What is written and collected beside the result.
struct Extras {
  Sink html, json, csv, trace, guest;  ///< null: not wanted
  Timeline timeline;                   ///< of one backend in one replay
  std::unique_ptr<TraceWriter> guest_trace;
};

absl::Status check_exports(const ReportPlan& report, absl::Span<const ReplayPlan> plans) {
  const ExportPath exports[] = {{"--export-html", report.html},
                                {"--export-json", report.json},
                                {"--export-csv", report.csv},
                                {"--export-trace", report.trace},
                                {"--export-guest", report.guest_trace}};
  for (const ReplayPlan& plan : plans) {
    if (absl::Status s = check_export_paths(exports, plan.setup.traces); !s.ok()) return s;
    if (plan.guest == nullptr) continue;
    if (absl::Status s = check_export_paths(exports, files_of(*plan.guest), "read by the guest"); !s.ok()) return s;
  }
  return absl::OkStatus();
}

/// A file that cannot be written is better met before the replay than after it.
absl::Status create_sinks(const ReportPlan& report, Extras& extras) {
  const struct {
    absl::string_view option;
    const std::string& path;
    Sink& sink;
  } wanted[] = {{"--export-html", report.html, extras.html},
                {"--export-json", report.json, extras.json},
                {"--export-csv", report.csv, extras.csv},
                {"--export-trace", report.trace, extras.trace},
                {"--export-guest", report.guest_trace, extras.guest}};
  for (const auto& [option, path, sink] : wanted) {
    if (path.empty()) continue;
    absl::StatusOr<Sink> created = create_sink(path);
    if (!created.ok()) {
      return absl::Status(created.status().code(), absl::StrCat(option, ": ", created.status().message()));
    }
    sink = *std::move(created);
  }
  return absl::OkStatus();
}

absl::Status prepare(const ReportPlan& report, std::vector<ReplayPlan>& plans, Extras& extras) {
  ReplayPlan& plan = plans.front();
  const bool of_one = !report.trace.empty() || !report.guest_trace.empty();
  if (of_one && (plans.size() > 1 || plan.backends.size() > 1)) {
    return absl::InvalidArgumentError(
        "--export-trace and --export-guest are of one backend and one replay; name one with --mmu, "
        "without --sweep and --each");
  }
  if (absl::Status s = check_exports(report, plans); !s.ok()) return s;
  if (absl::Status s = create_sinks(report, extras); !s.ok()) return s;
  if (!report.trace.empty()) {
    plan.setup.machine.timeline = &extras.timeline;
    plan.setup.machine.timeline_prices = &plan.setup.cost;
  }
  if (!report.guest_trace.empty()) {
    TraceInfo about;
    about.program = absl::StrCat("a guest that runs ", plan.setup.traces.front());
    about.recorder = absl::StrCat("gnomon ", version());
    about.guest = true;
    auto writer = create_gtrace_writer(std::move(extras.guest), about);
    if (!writer.ok()) return writer.status();
    extras.guest_trace = *std::move(writer);
    plan.setup.machine.guest_trace = extras.guest_trace.get();
  }
  return absl::OkStatus();
}

/// Broken invariants, and memories that differ from the first backend's.
std::vector<std::vector<std::string>> problems_of(const SessionResult& r) {
  std::vector<std::vector<std::string>> problems;
  for (const ReplayResult& machine : r.machines) {
    problems.push_back(machine.problems);
    std::string difference = compare_memory(r.machines.front(), machine);
    if (!difference.empty()) problems.back().push_back(std::move(difference));
  }
  return problems;
}

/// What a reader said, without the name of the trace, which stands before it already.
absl::string_view without_name(absl::string_view text, absl::string_view name) {
  if (absl::ConsumePrefix(&text, name)) absl::ConsumePrefix(&text, ": ");
  return text;
}

/// Everything amiss in the traces, each thing once.
std::vector<std::string> warnings_of(absl::Span<const ReportEntry> entries) {
  std::vector<std::string> all;
  const auto add = [&](std::string text) {
    if (!absl::c_linear_search(all, text)) all.push_back(std::move(text));
  };
  for (const ReportEntry& entry : entries) {
    for (const TraceSummary& t : entry.result->traces) {
      if (!t.stats.warning.empty()) add(absl::StrCat(t.name, ": ", without_name(t.stats.warning, t.name)));
      if (t.stats.left_out > 0) {
        add(absl::StrCat(t.name, ": ", with_separators(t.stats.left_out),
                         " left out; the first: ", without_name(t.stats.first_fault, t.name)));
      }
      if (t.rejected > 0) {
        add(absl::StrCat(t.name, ": ", with_separators(t.rejected),
                         " rejected by the guest; the first: ", t.first_rejected));
      }
      if (t.info.physical) {
        add(absl::StrCat(t.name, ": its addresses are physical; they were taken as virtual"));
      }
    }
    const uint64_t refused = entry.result->machines.front().guest[GuestStat::kFaultsRefused];
    if (refused > 0) {
      add(absl::StrCat(entry.result->traces.front().name, ": ", with_separators(refused),
                       " accesses that the mappings in the trace forbid were permitted"));
    }
  }
  return all;
}

void print_notes(absl::Span<const ReportEntry> entries, bool quiet) {
  for (const std::string& warning : warnings_of(entries)) print_warning(warning);
  if (quiet || entries.size() > 1) return;
  std::string rates;
  for (const ReplayResult& m : entries.front().result->machines) {
    const double references = static_cast<double>(m.counters[Counter::kAccesses]);
    absl::StrAppendFormat(&rates, "%s %s %.1f", rates.empty() ? "" : ",", m.spec,
                          1e-6 * references / std::max(m.seconds, 1e-9));
  }
  print_message(absl::StrCat("replayed, in million accesses a second:", rates));
}

std::string printed(absl::Span<const ReportEntry> entries, const ReportPlan& report) {
  switch (report.form) {
    case ReportForm::kJson: return to_json(entries);
    case ReportForm::kCsv: return to_csv(entries);
    case ReportForm::kText: break;
  }
  const bool sweep = !entries.front().point.empty();
  return sweep ? sweep_to_text(entries) : to_text(entries.front(), report.verbose);
}

absl::Status export_files(absl::Span<const ReportEntry> entries, Extras& extras) {
  const auto put = [](const Sink& sink, auto text) {
    if (sink == nullptr) return absl::OkStatus();
    if (absl::Status s = sink->write(text()); !s.ok()) return s;
    return sink->finish();
  };
  const absl::Status all[] = {
      put(extras.json, [&] { return to_json(entries); }),
      put(extras.csv, [&] { return to_csv(entries); }),
      put(extras.html, [&] { return to_html(entries); }),
  };
  for (const absl::Status& s : all) {
    if (!s.ok()) return s;
  }
  if (extras.trace != nullptr) {
    const std::string& name = entries.front().result->traces.front().name;
    absl::Status s = write_chrome_trace(extras.timeline, name, *extras.trace);
    if (!s.ok()) return s;
  }
  return extras.guest_trace != nullptr ? extras.guest_trace->finish() : absl::OkStatus();
}

/// What can be read only once is read by one plan, and in one copy.
absl::Status check_inputs(absl::Span<const ReplayPlan> plans) {
  absl::flat_hash_set<std::string> seen;
  for (const ReplayPlan& plan : plans) {
    for (const std::string& trace : plan.setup.traces) {
      if (!reads_once(trace)) continue;
      if (seen.insert(trace).second && plan.setup.copies == 1) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(trace == "-" ? "standard input" : trace,
                       " can be read only once; name a file for --sweep, --each and --copies"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int> replay_and_report(Arguments arguments) {
  const absl::StatusOr<std::vector<SweepAxis>> axes = sweep_axes(arguments);
  if (!axes.ok()) return axes.status();
  if (absl::Status s = check_image_options(arguments, *axes); !s.ok()) return s;
  if (absl::Status s = apply_config(arguments); !s.ok()) return s;
  const absl::StatusOr<ReportPlan> report = report_plan(arguments);
  if (!report.ok()) return report.status();
  const absl::StatusOr<uint64_t> workers = arguments.count("--jobs");
  if (!workers.ok()) return workers.status();
  if (*workers > 256) return absl::InvalidArgumentError("--jobs: not between 0 and 256");

  if (absl::Status s = replay_plan(arguments).status(); !s.ok()) return s;

  const std::vector<SweepPoint> points = sweep_points(*axes);
  std::vector<ReplayPlan> plans;
  for (const SweepPoint& point : points) {
    Arguments here = arguments;
    for (const auto& [key, value] : point) {
      if (absl::Status s = apply_setting(here, key, value); !s.ok()) {
        return absl::InvalidArgumentError(absl::StrCat("--sweep: ", s.message()));
      }
    }
    absl::StatusOr<ReplayPlan> plan = replay_plan(here);
    if (!plan.ok()) {  // without the point there was nothing to object to
      return absl::InvalidArgumentError(absl::StrCat("--sweep: ", plan.status().message()));
    }
    plans.push_back(*std::move(plan));
  }
  if (absl::Status s = check_inputs(plans); !s.ok()) return s;
  Extras extras;
  if (absl::Status s = prepare(*report, plans, extras); !s.ok()) return s;

  const absl::StatusOr<std::vector<SessionResult>> results =
      run_plans(plans, static_cast<unsigned>(*workers), !report->quiet);
  if (!results.ok()) return results.status();
  std::vector<ReportEntry> entries;
  bool sound = true;
  for (size_t i = 0; i < plans.size(); ++i) {
    ReportEntry entry{points[i], &plans[i], &(*results)[i], {}};
    if (plans[i].setup.audit) entry.problems = problems_of((*results)[i]);
    for (const std::vector<std::string>& p : entry.problems) sound &= p.empty();
    entries.push_back(std::move(entry));
  }
  if (absl::Status s = export_files(entries, extras); !s.ok()) return s;
  const int code = write_result(printed(entries, *report), sound ? kSuccess : kMismatch);
  if (code != kFailure) print_notes(entries, report->quiet);
  return code;
}

int run_replay(const Arguments& arguments) {
  const absl::StatusOr<int> code = replay_and_report(arguments);
  return code.ok() ? *code : report_failure(code.status());
}

constexpr Example kCompareExamples[] = {
    {"gnomon compare sort.gtrace", "native, shadow and nested paging on a recorded program"},
    {"gnomon compare sort.gtrace --mmu native,nested --sweep host-page=4K,2M",
     "what larger host pages do for nested walks"},
    {"gnomon compare --guest kernel.elf --append 'run=sort'",
     "a kernel that is run once under each backend"},
    {"gnomon compare a.gtrace b.gtrace --vcpus 2 --guest thp=always --export-html report.html",
     "two programs on two processors with huge pages, as a page with plots"},
    {"gnomon compare gen:zipf,bytes=1G --mmu 'shadow;shadow:unsync=off' --limit 10M --json",
     "two ways to run a shadow MMU on a synthetic pattern, as JSON"},
    {"valgrind --tool=lackey --trace-mem=yes --log-fd=9 sort file 9>&1 >/dev/null | gnomon compare -",
     "record a program and replay it at once; nothing is stored"},
};
constexpr Example kReplayExamples[] = {
    {"gnomon replay sort.gtrace --mmu shadow --tlb zen4", "everything one backend counts"},
    {"gnomon replay sort.gtrace --export-trace sort.json --limit 1M",
     "its walks and exits on a time line, for ui.perfetto.dev"},
    {"gnomon replay sort.gtrace --export-guest guest.gtrace",
     "the guest's table writes, CR3 loads and accesses as a trace of their own"},
};

}  // namespace

const Verb kCompareVerb = {
    "compare", "replay traces under several MMU backends and compare what it costs",
    "Replays the traces in a modelled 64-bit guest, once for each backend. Prints TLB misses, page faults,\n"
    "exits by cause, memory references of page walks by dimension, page-table memory and modelled cycles,\n"
    "a column for each backend.",
    kCompareExamples, compare_options(), run_replay};

const Verb kReplayVerb = {
    "replay", "replay traces under one MMU backend",
    "As compare, with one backend by default: what --export-trace and --export-guest need.",
    kReplayExamples, replay_options(), run_replay};

}  // namespace gnomon::tools

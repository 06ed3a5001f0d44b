// SPDX-License-Identifier: Apache-2.0
//
// The verb `info`: what is in a trace.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/traces/formats.h"
#include "tools/commands.h"
#include "tools/format_option.h"
#include "tools/json_text.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/table.h"
#include "tools/units.h"
#include "tools/words.h"

namespace gnomon::tools {
namespace {

using Json = nlohmann::ordered_json;

/// What is counted of one trace. Pages are counted exactly up to a bound that keeps our memory small.
struct Contents {
  static constexpr size_t kMostPages = size_t{1} << 24;

  std::array<uint64_t, 4> kinds{};  // by RecordKind
  uint64_t supervisor = 0;
  std::array<uint64_t, kEventKindCount> events{};
  absl::flat_hash_set<uint64_t> pages;
  bool more_pages = false;
  std::set<std::pair<uint32_t, uint32_t>> threads = {{0, 0}};
  std::set<uint32_t> processes = {0};

  uint64_t references() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < kinds.size(); ++i) sum += kinds[i] * references_of(static_cast<RecordKind>(i));
    return sum;
  }
  void add(absl::Span<const TraceRecord> records, const std::vector<TraceEvent>& batch_events) {
    uint64_t last_page = ~uint64_t{0};
    for (const TraceRecord& r : records) {
      if (r.kind == RecordKind::kEvent) {
        add(batch_events[r.address.value()]);
        continue;
      }
      ++kinds[static_cast<size_t>(r.kind)];
      supervisor += r.supervisor;
      const uint64_t page = r.address.frame();
      if (page == last_page) continue;
      last_page = page;
      if (pages.size() < kMostPages) {
        pages.insert(page);
      } else if (!more_pages) {
        more_pages = !pages.contains(page);
      }
    }
  }
  void add(const TraceEvent& event) {
    ++events[static_cast<size_t>(event.kind)];
    if (event.kind != EventKind::kSwitch || threads.size() > 100'000) return;
    threads.insert({event.process, event.thread});
    processes.insert(event.process);
  }
};

constexpr absl::string_view kKindNames[] = {"fetches", "loads", "stores", "modifies"};

Json to_json(const TraceReader& reader, const Contents& c) {
  const TraceInfo& info_ = reader.info();
  Json kinds = Json::object();
  for (size_t i = 0; i < c.kinds.size(); ++i) kinds[std::string(kKindNames[i])] = c.kinds[i];
  Json events = Json::object();
  for (const EventInfo& row : event_table()) {
    if (const uint64_t n = c.events[static_cast<size_t>(row.kind)]; n > 0) events[std::string(row.name)] = n;
  }
  return {{"name", std::string(reader.name())},
          {"format", info_.format},
          {"program", info_.program},
          {"recorder", info_.recorder},
          {"machine", info_.machine},
          {"note", info_.note},
          {"physical", info_.physical},
          {"whole_guest", info_.guest},
          {"bytes", reader.stats().bytes},
          {"references", c.references()},
          {"records", std::move(kinds)},
          {"supervisor", c.supervisor},
          {"processes", c.processes.size()},
          {"threads", c.threads.size()},
          {"pages", c.pages.size()},
          {"pages_complete", !c.more_pages},
          {"events", std::move(events)},
          {"left_out", reader.stats().left_out},
          {"warning", reader.stats().warning}};
}

std::string to_text(const TraceReader& reader, const Contents& c) {
  Table table(Table::Align::kLeft);
  const auto row = [&](absl::string_view label, const std::string& value) {
    if (!value.empty()) table.add_row({absl::StrCat("  ", label), printable(value)});
  };
  const TraceInfo& about = reader.info();
  table.add_heading(printable(reader.name()));
  row("format", about.format);
  row("program", about.program);
  row("recorder", about.recorder);
  row("machine", about.machine);
  row("note", about.note);
  if (about.physical) row("addresses", "physical");
  if (about.guest) row("holds", "a whole guest");
  const double per = static_cast<double>(reader.stats().bytes) /
                     static_cast<double>(std::max<uint64_t>(c.references(), 1));
  row("size", absl::StrFormat("%s bytes, %.3f a reference", with_separators(reader.stats().bytes), per));
  row("references", with_separators(c.references()));
  for (size_t i = 0; i < c.kinds.size(); ++i) {
    if (c.kinds[i] > 0) row(absl::StrCat("  ", kKindNames[i]), with_separators(c.kinds[i]));
  }
  if (c.supervisor > 0) row("  by the kernel", with_separators(c.supervisor));
  row("pages touched", absl::StrCat(c.more_pages ? "more than " : "", with_separators(c.pages.size()), " (",
                                    absl::StrFormat("%.1f", static_cast<double>(c.pages.size()) / 256), " MiB)"));
  row("processes", absl::StrCat(c.processes.size(), ", threads ", c.threads.size()));
  for (const EventInfo& e : event_table()) {
    if (const uint64_t n = c.events[static_cast<size_t>(e.kind)]; n > 0) {
      row(absl::StrCat("event ", e.name), with_separators(n));
    }
  }
  if (reader.stats().left_out > 0) {
    row("left out", absl::StrCat(with_separators(reader.stats().left_out), ", first ", reader.stats().first_fault));
  }
  row("warning", reader.stats().warning);
  return table.to_string();
}

absl::StatusOr<Contents> look_through(TraceReader& reader, bool quiet) {
  std::vector<TraceRecord> records(16384);
  std::vector<TraceEvent> events;
  Contents contents;
  Progress progress(!quiet);
  for (;;) {
    const absl::StatusOr<size_t> got = reader.read(absl::MakeSpan(records), events);
    if (!got.ok()) return got.status();
    if (*got == 0) return contents;
    contents.add(absl::MakeConstSpan(records).first(*got), events);
    std::optional<double> done;
    if (const auto total = reader.total_bytes(); total && *total > 0) {
      done = static_cast<double>(reader.stats().bytes) / static_cast<double>(*total);
    } else if (const auto all = reader.info().references; all && *all > 0) {
      done = static_cast<double>(contents.references()) / static_cast<double>(*all);
    }
    progress.update(reader.stats().records, done);
  }
}

int run_info(const Arguments& arguments) {
  Json all = Json::array();
  std::string text;
  const std::vector<std::string> paths = arguments.all("TRACE");
  if (std::count(paths.begin(), paths.end(), "-") > 1) {
    return report_failure(absl::InvalidArgumentError("standard input (-) is named twice"));
  }
  if (absl::Status s = check_format(arguments, "--format"); !s.ok()) return report_failure(s);
  for (const std::string& path : paths) {
    const ReadMode mode = arguments.given("--lenient") ? ReadMode::kLenient : ReadMode::kStrict;
    const std::string format = arguments.text("--format");
    absl::StatusOr<std::unique_ptr<TraceReader>> reader = open_trace(path, {format, mode});
    if (!reader.ok()) return report_failure(reader.status());
    const absl::StatusOr<Contents> contents = look_through(**reader, arguments.given("--quiet"));
    if (!contents.ok()) return report_failure(contents.status());
    if (arguments.given("--json")) {
      all.push_back(to_json(**reader, *contents));
    } else {
      absl::StrAppend(&text, text.empty() ? "" : "\n", to_text(**reader, *contents));
    }
  }
  if (!arguments.given("--json")) return write_result(text, kSuccess);
  const Json document = {{"schema", "gnomon.info/1"}, {"traces", std::move(all)}};
  return write_result(json_text(document), kSuccess);
}

int run_formats(const Arguments& arguments) {
  Json rows = Json::array();
  Table table(Table::Align::kLeft);
  for (const TraceFormat& f : trace_formats()) {
    const absl::string_view use = f.write == nullptr ? "read" : "read, written";
    table.add_row({std::string(f.name), std::string(f.suffix), std::string(use), std::string(f.description)});
    rows.push_back({{"name", std::string(f.name)},
                    {"suffix", std::string(f.suffix)},
                    {"written", f.write != nullptr},
                    {"recognized", f.recognize != nullptr},
                    {"description", std::string(f.description)}});
  }
  if (!arguments.given("--json")) return write_result(table.to_string(), kSuccess);
  const Json document = {{"schema", "gnomon.formats/1"}, {"formats", std::move(rows)}};
  return write_result(json_text(document), kSuccess);
}

constexpr OptionSpec kInfoOptions[] = {
    {"TRACE", 0, kFileValue, "", "traces in any format that is read, gen:PATTERN, or - for standard input", true},
    {"--format", 0, "NAME", "", "format of the traces; by default told by their content", false, format_words},
    {"--lenient", 0, "", "", "leave out what is damaged, and count it"},
    kJsonOption,
    kQuietOption,
};
constexpr Example kInfoExamples[] = {{"gnomon info sort.gtrace", "where it is from, and what is in it"}};
constexpr OptionSpec kFormatsOptions[] = {kJsonOption};
constexpr Example kFormatsExamples[] = {{"gnomon formats", "what --format, --from and --to take"}};

}  // namespace

const Verb kInfoVerb = {"info", "show what is in a trace", "Reads the whole trace, and so checks it.",
                        kInfoExamples, kInfoOptions, run_info};
const Verb kFormatsVerb = {"formats", "list the trace formats", "", kFormatsExamples, kFormatsOptions,
                           run_formats};

}  // namespace gnomon::tools

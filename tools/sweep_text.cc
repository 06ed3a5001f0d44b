// SPDX-License-Identifier: Apache-2.0
//
// The table of a sweep: a line for each backend at each point.
#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tools/output.h"
#include "tools/rank.h"
#include "tools/replay_plan.h"
#include "tools/replay_report.h"
#include "tools/table.h"
#include "tools/units.h"

namespace gnomon::tools {
namespace {

using Entries = absl::Span<const ReportEntry>;

constexpr absl::string_view kLegend =
    "* the cheapest way to virtualize. Cycles are modelled; `x` is times those of the\n"
    "first. Rank changes at: if exits cost so many times as much, the backend would\n"
    "change places with the one named. `gnomon counters` says what is counted.\n";

/// The directories that all traces have in common, to be left out of their names.
size_t common_directory(Entries entries) {
  const auto trace_of = [](const ReportEntry& e) -> absl::string_view {
    for (const auto& [key, value] : e.point) {
      if (key == kTraceKey) return value;
    }
    return {};
  };
  absl::string_view common = trace_of(entries.front());
  for (const ReportEntry& e : entries) {
    const absl::string_view trace = trace_of(e);
    // A generator's name is no path, whatever is in it.
    if (absl::StartsWith(trace, "gen:")) return 0;
    const auto [end, other] =
        std::mismatch(common.begin(), common.end(), trace.begin(), trace.end());
    common = common.substr(0, static_cast<size_t>(end - common.begin()));
  }
  return common.rfind('/') + 1;  // npos: 0
}

/// The values of a point as they are shown.
std::vector<std::string> values_of(const ReportEntry& e, size_t directory) {
  std::vector<std::string> values;
  for (const auto& [key, value] : e.point) {
    values.push_back(printable(key == kTraceKey ? value.substr(directory) : value));
  }
  return values;
}

std::vector<std::string> counts_of(const ReplayResult& b) {
  std::vector<std::string> cells;
  for (const uint64_t n :
       {b.counters[Counter::kTlbMisses], b.counters.walk_references(), b.counters.exits()}) {
    cells.push_back(with_separators(n));
  }
  return cells;
}

std::string over(double cycles, double base) {
  return base == 0 ? "-" : absl::StrFormat("%.3f", cycles / base);
}

void append(std::vector<std::string>& cells, const std::vector<std::string>& more) {
  cells.insert(cells.end(), more.begin(), more.end());
}

/// A block for each point, of which the backends are the lines.
std::string blocks(Entries entries, size_t directory) {
  Table table;
  const std::string& first = entries.front().result->machines.front().spec;
  const bool same_first = absl::c_all_of(
      entries, [&](const ReportEntry& e) { return e.result->machines.front().spec == first; });
  table.add_row({"", "TLB misses", "walk refs", "exits", "cycles/ref",
                 absl::StrCat("x ", same_first ? first : "first"), "rank changes at"});
  bool marked = false;
  for (const ReportEntry& e : entries) {
    const SessionResult& r = *e.result;
    const std::vector<std::string> values = values_of(e, directory);
    std::vector<std::string> named;
    for (size_t i = 0; i < values.size(); ++i) {
      const std::string& key = e.point[i].first;
      named.push_back(key == kTraceKey ? values[i] : absl::StrCat(key, "=", values[i]));
    }
    if (&e != &entries.front()) table.add_heading("");
    table.add_heading(absl::StrCat(absl::StrJoin(named, " "), ": ",
                                   with_separators(references_of(r)), " references"));
    const double base = r.machines.front().cost.total;
    for (const ReplayResult& b : r.machines) {
      const bool cheapest = is_cheapest(r, b);
      marked |= cheapest;
      std::vector<std::string> cells = {absl::StrCat(cheapest ? "* " : "  ", b.spec)};
      append(cells, counts_of(b));
      append(cells, {absl::StrFormat("%.3f", per_reference(r, b.cost.total)),
                     over(b.cost.total, base), nearest_flip(r, b)});
      table.add_row(std::move(cells));
    }
  }
  const absl::string_view legend = marked ? kLegend : kLegend.substr(kLegend.find(". ") + 2);
  return absl::StrCat(table.to_string(), "\n", legend);
}

/// Of one backend the points are the lines, and are compared with the first.
std::string lines(Entries entries, size_t directory) {
  Table table;
  std::vector<std::string> head;
  for (const auto& [key, value] : entries.front().point) head.push_back(key);
  append(head, {"references", "TLB misses", "walk refs", "exits", "cycles/ref", "x first"});
  table.add_row(std::move(head));
  const auto cycles_of = [](const ReportEntry& e) {
    return per_reference(*e.result, e.result->machines.front().cost.total);
  };
  for (const ReportEntry& e : entries) {
    std::vector<std::string> cells = values_of(e, directory);
    cells.push_back(with_separators(references_of(*e.result)));
    append(cells, counts_of(e.result->machines.front()));
    append(cells,
           {absl::StrFormat("%.3f", cycles_of(e)), over(cycles_of(e), cycles_of(entries.front()))});
    table.add_row(std::move(cells));
  }
  return table.to_string();
}

}  // namespace

std::string sweep_to_text(Entries entries) {
  const size_t directory = common_directory(entries);
  const bool one =
      absl::c_all_of(entries, [](const ReportEntry& e) { return e.result->machines.size() == 1; });
  std::string text = one ? lines(entries, directory) : blocks(entries, directory);
  size_t audited = 0, sound = 0;
  for (const ReportEntry& e : entries) {
    for (size_t i = 0; i < e.problems.size(); ++i) {
      ++audited;
      sound += e.problems[i].empty();
      for (const std::string& problem : e.problems[i]) {
        absl::StrAppend(&text, "audit   ", absl::StrJoin(e.point, " ", absl::PairFormatter("=")),
                        " ", e.result->machines[i].spec, ": FAILED: ", problem, "\n");
      }
    }
  }
  if (audited > 0) {
    absl::StrAppend(&text, "audit   ", sound, " of ", audited,
                    " replays sound, guest memory equal\n");
  }
  return text;
}

}  // namespace gnomon::tools

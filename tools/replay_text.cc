// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tools/output.h"
#include "tools/replay_report.h"
#include "tools/report_rows.h"
#include "tools/table.h"
#include "tools/units.h"

namespace gnomon::tools {
namespace {

constexpr absl::string_view kFootnote =
    "An access is one reference within one page, the guest kernel's included; one that faults is made again\n"
    "and counts again. Memory references of walks are entries read from page tables, by whose table it is.\n"
    "An exit is counted once, by its cause. Counters are the result; cycles are a view on them by the prices\n"
    "of `gnomon config show`. `gnomon counters` says more.\n";

uint64_t total(const std::array<uint64_t, 3>& by_op) { return by_op[0] + by_op[1] + by_op[2]; }

/// The settings of the guest's kernel that are not the usual ones.
std::string describe(const GuestOptions& guest) {
  std::string text;
  const nlohmann::ordered_json usual = guest_to_json({});
  const nlohmann::ordered_json settings = guest_to_json(guest);
  for (const auto& [key, value] : settings.items()) {
    if (value == usual[key]) continue;
    absl::StrAppend(&text, text.empty() ? "" : ", ", key, "=",
                    value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text.empty() ? "4K pages on demand" : text;
}

std::string header(const ReportEntry& e) {
  const SessionResult& r = *e.result;
  const ReplaySetup& setup = e.plan->setup;
  const MachineOptions& m = setup.machine;
  std::string text;
  for (const TraceSummary& trace : r.traces) {
    absl::StrAppend(&text, text.empty() ? "trace   " : "        ", printable(trace.name));
    if (setup.copies > 1) absl::StrAppend(&text, ", ", setup.copies, " copies");
    if (!trace.info.program.empty() && trace.info.program != trace.name) {
      absl::StrAppend(&text, ": ", printable(trace.info.program));
    }
    text += '\n';
  }
  const auto of = [&](AccessOp op) { return with_separators(r.references[static_cast<size_t>(op)]); };
  absl::StrAppendFormat(&text, "        %s references (%s fetches, %s loads, %s stores)\n",
                        with_separators(total(r.references)), of(AccessOp::kFetch),
                        of(AccessOp::kRead), of(AccessOp::kWrite));
  if (r.skipped + r.warmed_up > 0) {
    absl::StrAppend(&text, "        after ", with_separators(r.skipped), " skipped and ",
                    with_separators(r.warmed_up), " for warm-up\n");
  }
  absl::StrAppend(&text, "guest   ", short_bytes(m.guest.memory_bytes), " of memory, ", m.vcpus,
                  m.vcpus == 1 ? " processor" : " processors", ", ",
                  describe(m.guest));
  if (r.traces.size() * setup.copies > 1) {
    absl::StrAppend(&text, ", switched every ", with_separators(setup.slice), " references");
  }
  absl::StrAppend(&text, "\nhost    pages of ", name_of(m.host_page), ", TLB ", m.tlb, ", caches ",
                  m.caches, ", prices ", setup.cost.name, "\n");
  return text;
}

/// Cycles with three significant digits and an SI letter: they are modelled, not measured.
std::string si(double n) {
  constexpr absl::string_view kLetters[] = {"", "k", "M", "G", "T", "P"};
  size_t i = 0;
  for (; n >= 999.5 && i + 1 < std::size(kLetters); ++i) n /= 1000;
  return absl::StrFormat("%.*f%s", n >= 99.95 || (i == 0 && n == static_cast<int>(n)) ? 0 : n >= 9.995 ? 1 : 2, n,
                         i == 0 ? "" : absl::StrCat(" ", kLetters[i]));
}

std::string cell(const ReportRow& row, const ReplayResult& b) {
  return row.is_ratio() ? absl::StrFormat("%.2f", row.ratio(b)) : with_separators(row.whole(b));
}

bool is_zero(const ReportRow& row, const SessionResult& r) {
  return std::all_of(r.machines.begin(), r.machines.end(), [&](const ReplayResult& b) {
    return row.is_ratio() ? row.ratio(b) == 0 : row.whole(b) == 0;
  });
}

/// A row for something that each backend has.
template <class F>
void add_row(Table& table, const SessionResult& r, absl::string_view label, F cell_of) {
  std::vector<std::string> cells = {absl::StrCat("  ", label)};
  for (const ReplayResult& b : r.machines) cells.push_back(cell_of(b));
  table.add_row(std::move(cells));
}

double per_reference(const SessionResult& r, double cycles) {
  return cycles / static_cast<double>(std::max<uint64_t>(total(r.references), 1));
}

/// The smallest change of what exits cost that moves a backend past another one.
std::string nearest_flip(const SessionResult& r, const ReplayResult& b) {
  std::string text = "-";
  double nearest = std::numeric_limits<double>::infinity();
  for (const ReplayResult& other : r.machines) {
    const std::optional<double> factor = &b == &other ? std::nullopt : break_even(b.cost, other.cost);
    if (!factor || std::abs(std::log(*factor)) >= nearest) continue;
    nearest = std::abs(std::log(*factor));
    text = absl::StrFormat("%.3g %s", *factor, other.spec);
  }
  return text;
}

void add_cycles(Table& table, const SessionResult& r, bool all_rows) {
  table.add_heading("modelled cycles");
  for (const CostGroupInfo& group : cost_group_table()) {
    const auto cycles = [&](const ReplayResult& b) { return b.cost.groups[static_cast<size_t>(group.id)]; };
    const bool zero = std::all_of(r.machines.begin(), r.machines.end(),
                                  [&](const ReplayResult& b) { return cycles(b) == 0; });
    if (zero && !all_rows) continue;
    add_row(table, r, group.name, [&](const ReplayResult& b) { return si(cycles(b)); });
  }
  add_row(table, r, "total", [](const ReplayResult& b) { return si(b.cost.total); });
  add_row(table, r, "per reference",
          [&](const ReplayResult& b) { return absl::StrFormat("%.3f", per_reference(r, b.cost.total)); });
  if (r.machines.size() < 2) return;
  const ReplayResult& first = r.machines.front();
  add_row(table, r, absl::StrCat("against ", first.spec), [&](const ReplayResult& b) {
    return first.cost.total == 0 ? "-" : absl::StrFormat("%.3f", b.cost.total / first.cost.total);
  });
  add_row(table, r, "rank changes at exits x", [&](const ReplayResult& b) { return nearest_flip(r, b); });
}

}  // namespace

std::string to_text(const ReportEntry& entry, bool all_rows) {
  const SessionResult& r = *entry.result;
  Table table;
  std::vector<std::string> names = {""};
  for (const ReplayResult& b : r.machines) names.push_back(b.spec);
  table.add_row(names);
  for (const ReportGroup& group : report_groups()) {
    if (group.detail && !all_rows) continue;
    bool headed = false;
    for (const ReportRow& row : group.rows) {
      if (!all_rows && is_zero(row, r)) continue;
      if (!headed) table.add_heading(group.heading);
      headed = true;
      add_row(table, r, row.label, [&](const ReplayResult& b) { return cell(row, b); });
    }
  }
  add_cycles(table, r, all_rows);
  std::string text = absl::StrCat(header(entry), "\n", table.to_string(), "\n", kFootnote);
  for (size_t i = 0; i < entry.problems.size(); ++i) {
    absl::StrAppend(&text, "audit   ", r.machines[i].spec, ": ",
                    entry.problems[i].empty() ? "sound, guest memory equal" : "FAILED", "\n");
    for (const std::string& problem : entry.problems[i]) absl::StrAppend(&text, "        ", problem, "\n");
  }
  return text;
}

std::string sweep_to_text(absl::Span<const ReportEntry> entries) {
  // Of one backend the points are compared with the first; of several, each with the first backend there.
  const bool one = entries.front().result->machines.size() == 1;
  const ReportEntry& start = entries.front();
  Table table;
  std::vector<std::string> head;
  for (const auto& [key, value] : start.point) head.push_back(key);
  for (const absl::string_view column : {"backend", "references", "TLB misses", "walk refs", "exits", "cycles/ref"}) {
    head.emplace_back(column);
  }
  head.push_back(one ? "against first" : absl::StrCat("against ", start.result->machines.front().spec));
  if (!one) head.emplace_back("rank changes at exits x");
  table.add_row(head);
  for (const ReportEntry& e : entries) {
    const SessionResult& r = *e.result;
    const SessionResult& base = one ? *start.result : r;
    const double baseline = per_reference(base, base.machines.front().cost.total);
    for (const ReplayResult& b : r.machines) {
      std::vector<std::string> cells;
      for (const auto& [key, value] : e.point) cells.push_back(value);
      const double cycles = per_reference(r, b.cost.total);
      cells.push_back(b.spec);
      for (const uint64_t n : {total(r.references), b.counters[Counter::kTlbMisses],
                               b.counters.walk_references(), b.counters.exits()}) {
        cells.push_back(with_separators(n));
      }
      cells.push_back(absl::StrFormat("%.3f", cycles));
      cells.push_back(baseline == 0 ? "-" : absl::StrFormat("%.3f", cycles / baseline));
      if (!one) cells.push_back(nearest_flip(r, b));
      table.add_row(std::move(cells));
    }
  }
  std::string text = table.to_string();
  for (const ReportEntry& e : entries) {
    for (size_t i = 0; i < e.problems.size(); ++i) {
      for (const std::string& problem : e.problems[i]) {
        absl::StrAppend(&text, "audit   ", absl::StrJoin(e.point, " ", absl::PairFormatter("=")), " ",
                        e.result->machines[i].spec, ": FAILED: ", problem, "\n");
      }
    }
  }
  return text;
}

}  // namespace gnomon::tools

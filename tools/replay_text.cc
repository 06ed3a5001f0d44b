// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/output.h"
#include "tools/rank.h"
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

/// The settings of the guest's kernel that are not the usual ones.
std::string describe(const GuestOptions& guest) {
  std::string text;
  const auto usual = guest_settings({});
  const auto settings = guest_settings(guest);
  for (size_t i = 0; i < settings.size(); ++i) {
    if (settings[i] == usual[i]) continue;
    absl::StrAppend(&text, text.empty() ? "" : ", ", settings[i].first, "=", settings[i].second);
  }
  return text.empty() ? "4K pages on demand" : text;
}

std::string header(const ReportEntry& e) {
  const SessionResult& r = *e.result;
  const ReplaySetup& setup = e.plan->setup;
  const MachineOptions& m = setup.machine;
  std::string text;
  for (const TraceSummary& trace : r.traces) {
    const absl::string_view label = e.plan->guest == nullptr ? "trace   " : "image   ";
    absl::StrAppend(&text, text.empty() ? label : "        ", printable(trace.name));
    if (setup.copies > 1) absl::StrAppend(&text, ", ", setup.copies, " copies");
    if (!trace.info.program.empty() && trace.info.program != trace.name) {
      absl::StrAppend(&text, ": ", printable(trace.info.program));
    }
    text += '\n';
  }
  const auto of = [&](AccessOp op, absl::string_view one, absl::string_view many) {
    return count_of(r.references[static_cast<size_t>(op)], one, many);
  };
  absl::StrAppendFormat(&text, "        %s (%s, %s, %s)\n",
                        count_of(references_of(r), "reference", "references"),
                        of(AccessOp::kFetch, "fetch", "fetches"), of(AccessOp::kRead, "load", "loads"),
                        of(AccessOp::kWrite, "store", "stores"));
  if (r.skipped + r.warmed_up > 0) {
    absl::StrAppend(&text, "        after ", with_separators(r.skipped), " skipped and ",
                    with_separators(r.warmed_up), " for warm-up\n");
  }
  // A whole guest brings its memory and its kernel with it, whatever --mem and --guest say.
  const bool whole_guest = !r.traces.empty() && r.traces.front().info.guest;
  const bool own_memory = whole_guest && e.plan->guest == nullptr;
  absl::StrAppend(&text, "guest   ",
                  own_memory ? "the trace's own" : absl::StrCat(short_bytes(m.guest.memory_bytes), " of memory"),
                  ", ", m.vcpus, m.vcpus == 1 ? " processor" : " processors",
                  whole_guest ? "" : absl::StrCat(", ", describe(m.guest)));
  if (r.traces.size() * setup.copies > 1) {
    absl::StrAppend(&text, ", switched every ", count_of(setup.slice, "reference", "references"));
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

}  // namespace gnomon::tools

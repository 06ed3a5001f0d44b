// SPDX-License-Identifier: Apache-2.0
#include "tools/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tools/report_rows.h"
#include "tools/table.h"
#include "tools/units.h"

namespace gnomon::tools {
namespace {

constexpr int kJsonSchema = 1;  // grows when a key changes its meaning or goes away

constexpr absl::string_view kFootnote =
    "An access is one reference of the trace, within one page; one that faults is made again, and "
    "counts\n"
    "again. Memory references of walks are entries read from page tables, by whose table it is; "
    "the access\n"
    "itself is not among them. An exit is counted once, by its cause. `gnomon counters` says "
    "more.\n";

uint64_t total(const std::array<uint64_t, 3>& by_op) { return by_op[0] + by_op[1] + by_op[2]; }

std::string header(const CompareResult& r) {
  const auto of = [&](AccessOp op) {
    return with_separators(r.references[static_cast<size_t>(op)]);
  };
  std::string text =
      absl::StrFormat("trace   %s: %s references (%s fetches, %s loads, %s stores)\n", r.trace,
                      with_separators(total(r.references)), of(AccessOp::kFetch),
                      of(AccessOp::kRead), of(AccessOp::kWrite));
  if (r.skipped + r.warmed_up > 0) {
    absl::StrAppend(&text, "        after ", with_separators(r.skipped), " skipped and ",
                    with_separators(r.warmed_up), " for warm-up\n");
  }
  absl::StrAppend(&text, "guest   4-level tables, 4K pages on demand, ",
                  short_bytes(r.memory_bytes), " of memory, ");
  if (r.processes == 1) {
    absl::StrAppend(&text, "1 process\n");
  } else {
    absl::StrAppend(&text, r.processes, " processes, switched every ", with_separators(r.slice),
                    " references\n");
  }
  absl::StrAppend(&text, "host    pages of ", r.host_page, ", TLB ", r.tlb, "\n");
  return text;
}

std::string cell(const ReportRow& row, const BackendResult& b) {
  return row.is_ratio() ? absl::StrFormat("%.2f", row.ratio(b)) : with_separators(row.whole(b));
}

bool is_zero(const ReportRow& row, const CompareResult& r) {
  return std::all_of(r.backends.begin(), r.backends.end(), [&](const BackendResult& b) {
    return row.is_ratio() ? row.ratio(b) == 0 : row.whole(b) == 0;
  });
}

}  // namespace

std::string to_text(const CompareResult& result, bool all_rows) {
  Table table;
  std::vector<std::string> names = {""};
  for (const BackendResult& b : result.backends) names.push_back(b.spec);
  table.add_row(names);
  for (const ReportGroup& group : report_groups()) {
    if (group.detail && !all_rows) continue;
    bool headed = false;
    for (const ReportRow& row : group.rows) {
      if (!all_rows && is_zero(row, result)) continue;
      if (!headed) table.add_heading(group.heading);
      headed = true;
      std::vector<std::string> cells = {absl::StrCat("  ", row.label)};
      for (const BackendResult& b : result.backends) cells.push_back(cell(row, b));
      table.add_row(std::move(cells));
    }
  }
  std::string text = absl::StrCat(header(result), "\n", table.to_string(), "\n", kFootnote);
  if (result.audited) {
    for (const BackendResult& b : result.backends) {
      absl::StrAppend(&text, "audit   ", b.spec, ": ",
                      b.problems.empty() ? "sound, guest memory equal" : "FAILED", "\n");
      for (const std::string& problem : b.problems)
        absl::StrAppend(&text, "        ", problem, "\n");
    }
  }
  return text;
}

std::string to_json(const CompareResult& result) {
  using Json = nlohmann::ordered_json;
  const auto op_count = [&](AccessOp op) { return result.references[static_cast<size_t>(op)]; };
  Json document = {
      {"schema", kJsonSchema},
      {"kind", "compare"},
      {"trace",
       {{"name", result.trace},
        {"format", "lackey"},
        {"lines", result.reader.lines},
        {"records", result.reader.records},
        {"notes", result.reader.notes},
        {"glued_lines", result.reader.glued},
        {"rejected_lines", result.reader.rejected_lines()},
        {"cut_off", result.reader.cut_off},
        {"skipped", result.skipped},
        {"warmed_up", result.warmed_up},
        {"references", total(result.references)},
        {"fetches", op_count(AccessOp::kFetch)},
        {"loads", op_count(AccessOp::kRead)},
        {"stores", op_count(AccessOp::kWrite)}}},
      {"machine",
       {{"memory_bytes", result.memory_bytes},
        {"host_page", result.host_page},
        {"tlb", result.tlb},
        {"processes", result.processes},
        {"slice", result.slice}}},
  };
  Json columns = Json::array();
  for (const BackendResult& b : result.backends) {
    Json counters = Json::object();
    for (const CounterInfo& row : counter_table()) {
      counters[std::string(row.name)] = b.counters[row.id];
    }
    Json derived = Json::object();
    for (const ReportGroup& group : report_groups()) {
      for (const ReportRow& row : group.rows) {
        if (row.is_counter()) continue;
        Json& value = derived[std::string(row.name())];
        if (row.is_ratio()) {
          value = row.ratio(b);
        } else {
          value = row.whole(b);
        }
      }
    }
    Json column = {{"backend", b.spec}, {"counters", counters}, {"derived", derived}};
    if (result.audited)
      column["audit"] = {{"passed", b.problems.empty()}, {"problems", b.problems}};
    columns.push_back(std::move(column));
  }
  document["backends"] = std::move(columns);
  return document.dump(2) + "\n";
}

std::string to_csv(const CompareResult& result) {
  std::string text = "backend,group,name,unit,value\n";
  for (const BackendResult& b : result.backends) {
    // A backend with options may hold commas; quotes it cannot hold.
    const bool quoted = b.spec.find(',') != std::string::npos;
    const std::string name = quoted ? absl::StrCat("\"", b.spec, "\"") : b.spec;
    for (const ReportGroup& group : report_groups()) {
      for (const ReportRow& row : group.rows) {
        const std::string value =
            row.is_ratio() ? absl::StrFormat("%.6g", row.ratio(b)) : absl::StrCat(row.whole(b));
        absl::StrAppend(&text,
                        absl::StrJoin({absl::string_view(name), group.key, row.name(),
                                       row.unit_name(), absl::string_view(value)},
                                      ","),
                        "\n");
      }
    }
  }
  return text;
}

}  // namespace gnomon::tools

// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "tools/replay_report.h"
#include "tools/report_rows.h"

namespace gnomon::tools {
namespace {

/// As RFC 4180 has it.
std::string quoted(const std::string& field) {
  if (field.find_first_of(",\"\n\r") == std::string::npos) return field;
  return absl::StrCat("\"", absl::StrReplaceAll(field, {{"\"", "\"\""}}), "\"");
}

}  // namespace

std::string to_csv(absl::Span<const ReportEntry> entries) {
  std::string text = "point,backend,group,name,unit,value\n";
  for (const ReportEntry& e : entries) {
    const std::string point =
        quoted(absl::StrJoin(e.point, ";", absl::PairFormatter("=")));
    for (const ReplayResult& b : e.result->machines) {
      const std::string front = absl::StrCat(point, ",", quoted(b.spec), ",");
      for (const ReportGroup& group : report_groups()) {
        for (const ReportRow& row : group.rows) {
          const std::string value =
              row.is_ratio() ? absl::StrFormat("%.6g", row.ratio(b)) : absl::StrCat(row.whole(b));
          absl::StrAppend(&text, front, group.key, ",", row.name(), ",", row.unit_name(), ",", value, "\n");
        }
      }
      for (const CostGroupInfo& g : cost_group_table()) {
        absl::StrAppendFormat(&text, "%scycles,%s,cycles,%.10g\n", front, g.name,
                              b.cost.groups[static_cast<size_t>(g.id)]);
      }
      absl::StrAppendFormat(&text, "%scycles,total,cycles,%.10g\n", front, b.cost.total);
    }
  }
  return text;
}

}  // namespace gnomon::tools

// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_REPORT_ROWS_H_
#define TOOLS_REPORT_ROWS_H_

#include <cstdint>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/replay/session.h"

namespace gnomon::tools {

/// One quantity of a report: what it is called, and how to get it from a result.
struct ReportRow {
  using Whole = uint64_t (*)(const ReplayResult&);
  using Ratio = double (*)(const ReplayResult&);

  absl::string_view label;  ///< in the table, below the group's heading
  std::variant<Counter, GuestStat, Whole, Ratio> source;
  absl::string_view key = {};   ///< in JSON and CSV; that of the counter or statistic if empty
  absl::string_view unit = {};  ///< likewise

  absl::string_view name() const;
  absl::string_view unit_name() const;
  bool is_ratio() const { return std::holds_alternative<Ratio>(source); }
  /// One of the engine's counters, or of the guest's statistics: not derived.
  bool is_counted() const {
    return std::holds_alternative<Counter>(source) || std::holds_alternative<GuestStat>(source);
  }
  uint64_t whole(const ReplayResult& result) const;  ///< not for ratios
  double ratio(const ReplayResult& result) const;    ///< for ratios only
};

struct ReportGroup {
  absl::string_view heading;
  absl::string_view key;
  absl::Span<const ReportRow> rows;
  bool detail = false;  ///< in the table only on request
};

/// Every counter and every guest statistic is in exactly one row.
absl::Span<const ReportGroup> report_groups();

}  // namespace gnomon::tools

#endif  // TOOLS_REPORT_ROWS_H_

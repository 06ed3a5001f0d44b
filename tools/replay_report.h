// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_REPLAY_REPORT_H_
#define TOOLS_REPLAY_REPORT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "gnomon/replay/session.h"
#include "tools/replay_plan.h"

// What replays have found out, in its forms. All come from one table of rows (report_rows.cc).

namespace gnomon::tools {

/// One replay: of a sweep, a point.
struct ReportEntry {
  SweepPoint point;
  const ReplayPlan* plan;
  const SessionResult* result;
  std::vector<std::vector<std::string>>
      problems;  ///< by backend: broken invariants, unequal memories
};

/// The table for people. Rows that are zero for every backend, and details, are left out unless
/// `all_rows`.
std::string to_text(const ReportEntry& entry, bool all_rows);
/// A line for each point of a sweep.
std::string sweep_to_text(absl::Span<const ReportEntry> entries);
/// One document: schema gnomon.compare/2, or gnomon.sweep/1.
std::string to_json(absl::Span<const ReportEntry> entries);
/// The same as a page with plots.
std::string to_html(absl::Span<const ReportEntry> entries);
/// A line for each backend and quantity: point,backend,group,name,unit,value.
std::string to_csv(absl::Span<const ReportEntry> entries);

/// The settings of a plan as JSON: what `config show` prints and --config reads.
nlohmann::ordered_json settings_to_json(const ReplaySetup& setup);
/// The settings of the guest's kernel, by the keys of --guest, as one gives them there.
std::vector<std::pair<std::string, std::string>> guest_settings(const GuestOptions& guest);

}  // namespace gnomon::tools

#endif  // TOOLS_REPLAY_REPORT_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_REPLAY_PLAN_H_
#define TOOLS_REPLAY_PLAN_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gnomon/replay/session.h"
#include "tools/options.h"

namespace gnomon::vmm {
struct MachineOptions;
}

// What the options of `replay`, `compare` and `config` ask for.

namespace gnomon::tools {

enum class ReportForm { kText, kJson, kCsv };

/// One replay of all backends.
struct ReplayPlan {
  ReplaySetup setup;
  /// A guest that is run in place of traces, under each backend; null: there is none. What it is called.
  std::shared_ptr<const vmm::MachineOptions> guest;
  std::string guest_name;
  std::vector<std::string> backends;
};

/// How the result is shown, and where it is also put.
struct ReportPlan {
  ReportForm form = ReportForm::kText;
  bool quiet = false;
  bool verbose = false;
  std::string html, json, csv, trace, guest_trace;  ///< files; empty: not wanted
};

/// The key of --each.
inline constexpr absl::string_view kTraceKey = "trace";

/// One key of --sweep and the values it takes.
struct SweepAxis {
  std::string key;
  std::vector<std::string> values;
};
/// One point of a sweep: a value for each axis.
using SweepPoint = std::vector<std::pair<std::string, std::string>>;

/// Options of replay, compare and config, in the order of help.
absl::Span<const OptionSpec> machine_options();
absl::Span<const OptionSpec> replay_options();
absl::Span<const OptionSpec> compare_options();

/// Takes in the file named by --config, if any: what the command line gives goes before it.
absl::Status apply_config(Arguments& arguments);
/// Gives one option a value by its key: an option's name without dashes (one of sweep_keys),
/// "guest.KEY" or "price.KEY".
absl::Status apply_setting(Arguments& arguments, absl::string_view key, const std::string& value);

/// The images that --guest names where no trace is given.
std::vector<std::string> images_of(const Arguments& arguments);
/// InvalidArgument: an option or a key of --sweep is given that does not go with --guest IMAGE, which is given as well.
/// Ask before apply_config: what a file says beside does not matter to an image.
absl::Status check_image_options(const Arguments& arguments, absl::Span<const SweepAxis> axes);
/// Completes a plan by the image, if one is named, and its options; InvalidArgument: there is neither image nor trace.
absl::Status plan_image(const Arguments& arguments, ReplayPlan& plan);
absl::StatusOr<ReplayPlan> replay_plan(const Arguments& arguments);
absl::StatusOr<ReportPlan> report_plan(const Arguments& arguments);
absl::StatusOr<std::vector<SweepAxis>> sweep_axes(const Arguments& arguments);
/// The keys that --sweep takes among these options, guest.KEY and price.KEY aside.
std::vector<absl::string_view> sweep_keys(absl::Span<const OptionSpec> options);
/// Every combination of values, the last axis changing fastest; one empty point without axes.
std::vector<SweepPoint> sweep_points(absl::Span<const SweepAxis> axes);

/// Can this be opened only once: standard input, a pipe, a terminal?
bool reads_once(const std::string& trace);
/// The value of --host-page.
absl::StatusOr<PageSize> host_page(const Arguments& arguments);
/// One backend with its options, as a value of `option`. InvalidArgument names that.
absl::Status check_backend_option(absl::string_view option, const std::string& spec);
/// Splits a list of backends: commas separate names; one with options ends at a semicolon.
std::vector<std::string> split_backends(absl::string_view list);

}  // namespace gnomon::tools

#endif  // TOOLS_REPLAY_PLAN_H_

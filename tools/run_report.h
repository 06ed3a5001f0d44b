// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_RUN_REPORT_H_
#define TOOLS_RUN_REPORT_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "gnomon/vmm/machine.h"

namespace gnomon::tools {

/// How a run ended.
struct RunResult {
  vmm::RunEnd end;
  bool by_user = false;  ///< then `end` says nothing
  double seconds = 0;    ///< of our time

  /// Is the exit status 0?
  bool good() const;
};

/// Did the guest power off with status 0, or wait for ever, or reach the limit?
bool ended_well(const vmm::RunEnd& end);

/// What `run --json` prints (docs/cli.md). `console`: what the guest wrote; `monitor`: what the
/// monitor answered.
std::string run_json(vmm::Machine& machine, const RunResult& result, absl::string_view console,
                     const std::optional<std::string>& monitor);

/// What --stats prints.
std::string run_stats(vmm::Machine& machine, double seconds);

/// The text screen, as lines.
std::string screen_text(vmm::Machine& machine);

}  // namespace gnomon::tools

#endif  // TOOLS_RUN_REPORT_H_

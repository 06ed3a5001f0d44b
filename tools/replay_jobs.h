// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_REPLAY_JOBS_H_
#define TOOLS_REPLAY_JOBS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tools/replay_plan.h"

namespace gnomon::tools {

/// Carries out plans with `workers` threads: each backend of each plan on its own, or all backends
/// of a plan in one reading where the trace can be read only once. The results do not depend on
/// `workers`, and come in the order of the plans. The first error ends everything.
absl::StatusOr<std::vector<SessionResult>> run_plans(absl::Span<const ReplayPlan> plans,
                                                     unsigned workers, bool show_progress);

}  // namespace gnomon::tools

#endif  // TOOLS_REPLAY_JOBS_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_GUEST_SESSION_H_
#define TOOLS_GUEST_SESSION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gnomon/replay/session.h"
#include "tools/replay_plan.h"

namespace gnomon::tools {

/// Runs the guest of a plan to its end (or setup.limit references) once under each backend, and counts as a replay does.
/// Errors: those of vmm::Machine; Internal: the backends' guests did not end in the same way; DataLoss: one broke
/// an invariant.
absl::StatusOr<SessionResult> run_guest_session(const ReplayPlan& plan,
                                                absl::Span<const std::string> backends,
                                                ReplayProgress& progress);

}  // namespace gnomon::tools

#endif  // TOOLS_GUEST_SESSION_H_

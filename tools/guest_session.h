// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_GUEST_SESSION_H_
#define TOOLS_GUEST_SESSION_H_

#include <string>

#include "absl/status/statusor.h"
#include "gnomon/replay/session.h"
#include "tools/replay_plan.h"

namespace gnomon::tools {

/// What a backend counted, and how a guest ended under it, in words that are equal for equal runs;
/// a replay says nothing there.
struct BackendRun {
  SessionResult session;
  std::string backend;
  std::string ended_as;
};

/// Runs the guest of a plan to its end (or setup.limit references) under one backend, and counts as
/// a replay does. Errors: those of vmm::Machine.
absl::StatusOr<BackendRun> run_guest_session(const ReplayPlan& plan, const std::string& backend,
                                             ReplayProgress& progress);

/// Internal: the guest did not end in the same way under both.
absl::Status check_same_end(const BackendRun& a, const BackendRun& b);

}  // namespace gnomon::tools

#endif  // TOOLS_GUEST_SESSION_H_

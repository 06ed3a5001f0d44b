// SPDX-License-Identifier: Apache-2.0
#include "tools/guest_session.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/vmm/machine.h"
#include "tools/run_report.h"

namespace gnomon::tools {
namespace {

using vmm::RunEnd;

/// Instructions between two looks at progress.
constexpr uint64_t kSlice = 100'000;
/// An instruction makes one reference at least, and hardly ever more than so many.
constexpr uint64_t kReferences = 8;

/// Instructions to run when so many references are made: fewer and fewer before the limit.
uint64_t slice_after(uint64_t done, uint64_t limit) {
  return limit == 0 ? kSlice : std::clamp<uint64_t>((limit - done) / kReferences, 1, kSlice);
}

/// How a run ended and what was left: the same under every backend.
std::string fingerprint(vmm::Machine& machine, const RunEnd& end) {
  return absl::StrFormat("%s, after %d instructions, trace hash %#x, memory hash %#x", end.text,
                         machine.instructions(), machine.trace_hash(), machine.memory_hash());
}

}  // namespace

absl::StatusOr<BackendRun> run_guest_session(const ReplayPlan& plan, const std::string& backend,
                                             ReplayProgress& progress) {
  BackendRun run;
  SessionResult& session = run.session;
  vmm::MachineOptions options = *plan.guest;
  options.backend = backend;
  auto machine = vmm::Machine::create(options);
  if (!machine.ok()) return machine.status();
  const auto start = std::chrono::steady_clock::now();
  RunEnd end;
  uint64_t done = 0;
  const auto references = [&] {
    session.references = (*machine)->references();
    return session.references[0] + session.references[1] + session.references[2];
  };
  do {
    end = (*machine)->run(slice_after(done, plan.setup.limit));
    const uint64_t now = references();
    progress.references.fetch_add(now - done);
    done = now;
  } while (end.reason == RunEnd::Reason::kLimit && !progress.stop.load() &&
           (plan.setup.limit == 0 || done < plan.setup.limit));
  ReplayResult r;
  r.spec = backend;
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  r.counters = (*machine)->counters();
  r.caches = (*machine)->cache_stats();
  r.has_caches = plan.setup.machine.caches != "none";
  r.cost = price(plan.setup.cost, r.counters, r.has_caches ? &r.caches : nullptr);
  if (end.reason == RunEnd::Reason::kHostFailed) {
    return absl::ResourceExhaustedError(absl::StrCat(backend, ": ", end.text));
  }
  if (end.reason == RunEnd::Reason::kRefused) {
    return absl::FailedPreconditionError(absl::StrCat(backend, ": ", end.text));
  }
  if (plan.setup.audit) {
    for (const AuditFinding& f : (*machine)->backend().audit()) {
      r.problems.push_back(absl::StrFormat("invariant %d: %s", f.invariant, f.text));
    }
  }
  TraceSummary summary;
  summary.name = plan.guest_name;
  summary.info.guest = true;
  summary.info.format = (*machine)->guest().format;
  summary.info.program = (*machine)->guest().description;
  if (!ended_well(end)) summary.stats.warning = absl::StrCat("the guest ended badly: ", end.text);
  summary.stats.records = done;
  session.traces = {summary};
  session.machines.push_back(std::move(r));
  run.backend = backend;
  run.ended_as = fingerprint(**machine, end);
  return run;
}

absl::Status check_same_end(const BackendRun& a, const BackendRun& b) {
  if (a.ended_as == b.ended_as) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(b.backend, ": the guest did not run as under ", a.backend,
                                          ": ", b.ended_as, "; there: ", a.ended_as));
}

}  // namespace gnomon::tools

// SPDX-License-Identifier: Apache-2.0
#include "tools/guest_session.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/vmm/machine.h"
#include "tools/guest_files.h"

namespace gnomon::tools {
namespace {

using vmm::RunEnd;

/// Instructions between two looks at progress; a point of the series each.
constexpr uint64_t kSlice = 100'000;

vmm::MachineOptions machine_options_of(const ReplayPlan& plan, const std::string& backend) {
  const MachineOptions& m = plan.setup.machine;
  vmm::MachineOptions o;
  o.load.image = guest_image(plan.image.file);
  o.load.command_line = plan.image.append;
  o.load.modules = plan.image.modules;
  o.board.disks = plan.image.disks;
  o.board.memory_bytes = plan.image.memory_bytes;
  o.board.cpus = m.vcpus;
  o.backend = backend;
  o.host_page = m.host_page;
  o.tlb = m.tlb;
  o.caches = m.caches;
  return o;
}

/// How a run ended and what was left: the same under every backend.
std::string fingerprint(vmm::Machine& machine, const RunEnd& end) {
  return absl::StrFormat("%s, after %d instructions, trace hash %#x, memory hash %#x", end.text,
                         machine.instructions(), machine.trace_hash(), machine.memory_hash());
}

absl::StatusOr<ReplayResult> run_under(const ReplayPlan& plan, const std::string& backend,
                                       ReplayProgress& progress, SessionResult& session,
                                       std::string& ended_as) {
  auto machine = vmm::Machine::create(machine_options_of(plan, backend));
  if (!machine.ok()) return machine.status();
  const auto start = std::chrono::steady_clock::now();
  RunEnd end;
  uint64_t done = 0;
  const auto references = [&] {
    session.references = (*machine)->references();
    return session.references[0] + session.references[1] + session.references[2];
  };
  do {
    end = (*machine)->run(kSlice);
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
  if (end.reason == RunEnd::Reason::kHostFailed) return absl::ResourceExhaustedError(absl::StrCat(backend, ": ", end.text));
  if (end.reason == RunEnd::Reason::kRefused) return absl::FailedPreconditionError(absl::StrCat(backend, ": ", end.text));
  if (plan.setup.audit) {
    for (const AuditFinding& f : (*machine)->backend().audit()) {
      r.problems.push_back(absl::StrFormat("invariant %d: %s", f.invariant, f.text));
    }
  }
  TraceSummary summary;
  summary.name = plan.image.file;
  summary.info.guest = true;
  summary.info.program = (*machine)->guest().description;
  summary.stats.records = done;
  session.traces = {summary};
  ended_as = fingerprint(**machine, end);
  return r;
}

}  // namespace

absl::StatusOr<SessionResult> run_guest_session(const ReplayPlan& plan,
                                                absl::Span<const std::string> backends,
                                                ReplayProgress& progress) {
  SessionResult session;
  std::string first;
  for (const std::string& backend : backends) {
    std::string ended_as;
    auto result = run_under(plan, backend, progress, session, ended_as);
    if (!result.ok()) return result.status();
    if (session.machines.empty()) first = ended_as;
    if (ended_as != first) {
      return absl::InternalError(absl::StrCat(backend, ": the guest did not run as under ", backends.front(), ": ",
                                              ended_as, "; there: ", first));
    }
    session.machines.push_back(*std::move(result));
  }
  return session;
}

}  // namespace gnomon::tools

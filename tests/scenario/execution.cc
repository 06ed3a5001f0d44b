// SPDX-License-Identifier: Apache-2.0
#include "tests/scenario/execution.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon::scenario {
namespace {

std::vector<Gva> pages_of(const Program& program) {
  std::vector<Gva> pages;
  for (const Action& a : program.actions) {
    if (a.verb == Verb::kAccess) pages.push_back(Gva(a.address).page_base());
  }
  std::sort(pages.begin(), pages.end());
  pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
  return pages;
}

}  // namespace

Execution::Execution(Machine& machine, Mirror& mirror, const Program& program,
                     absl::string_view spec, const RunOptions& options, RunStats& stats)
    : m_(machine),
      program_(program),
      options_(options),
      stats_(stats),
      mirror_(mirror),
      naive_(mirror.p2m()),
      direct_(machine.backend().validates_tables()),
      memory_(machine, mirror, /*raw_differs=*/direct_ || absl::StrContains(spec, "flags=lazy")) {
  const std::vector<Gva> pages = pages_of(program);
  for (unsigned i = 0; i < m_.cpus(); ++i) histories_.emplace_back(pages);
  foresight_.resize(m_.cpus());
  observe_all();
}

std::optional<Failure> Execution::run() {
  for (step_ = 0; step_ < program_.actions.size(); ++step_) {
    ++stats_.steps;
    touched_.clear();
    changed_ = false;
    const Action& a = program_.actions[step_];
    Problem problem = apply(a);
    if (!problem) problem = memory_.compare(touched_);
    const bool last = step_ + 1 == program_.actions.size();
    if (!problem && (last || step_ % options_.full_compare_every == 0))
      problem = memory_.compare_all();
    if (problem) return Failure{step_, 0, absl::StrCat(to_string(a), "\n  ", *problem)};
    if (changed_) observe_all();
    if (program_.setup.strict) flush_what_must_be();
    if (!options_.audit) continue;
    const std::vector<AuditFinding> findings = m_.backend().audit();
    if (!findings.empty()) {
      return Failure{step_, findings[0].invariant,
                     absl::StrCat(to_string(a), "\n  audit, invariant ", findings[0].invariant,
                                  ": ", findings[0].text)};
    }
  }
  return std::nullopt;
}

Problem Execution::store(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) {
  const P2mEntry e = m_.p2m().lookup(at);
  const bool memory = e.is_ram() || e.state() == FrameState::kLazy;
  const StoreResult expected = !memory   ? StoreResult::kNotBacked
                               : e.rom() ? StoreResult::kReadOnly
                                         : StoreResult::kDone;
  const StoreResult got = m_.backend().write_physical(cpu, at, value, size);
  if (got == StoreResult::kRefused && direct_) {
    ++stats_.refused;
    touch(at);
    return {};
  }
  if (got != expected) {
    return absl::StrCat("store result ", static_cast<int>(got), ", expected ",
                        static_cast<int>(expected));
  }
  if (got == StoreResult::kDone) wrote(at, value, size);
  touch(at);
  return {};
}

Problem Execution::transfer(VcpuState& cpu, Access access, const Translation& t, uint64_t value,
                            unsigned size) {
  if (access.write()) {
    if (t.trapped) {
      ++stats_.trapped_stores;
      return store(cpu, t.gpa, value, size);
    }
    store_bytes(m_.host().at<uint8_t>(t.hpa), value, size);
    wrote(t.gpa, value, size);
    touch(t.gpa);
    if (m_.p2m().lookup(t.gpa).write_logged())
      return std::string("written, but not in the dirty log");
    return {};
  }
  uint64_t seen = 0;
  if (!t.trapped) {
    seen = load_bytes(m_.host().at<uint8_t>(t.hpa), size);
  } else if (!m_.backend().read_physical(cpu, t.gpa, size, seen)) {
    return std::string("read_physical refuses what was translated");
  }
  const uint64_t should = mirror_.load(t.gpa, size);
  if (seen == should) return {};
  return absl::StrFormat("read 0x%x at %s, expected 0x%x", seen, to_string(t.gpa), should);
}

void Execution::observe_all() {
  for (unsigned i = 0; i < m_.cpus(); ++i) histories_[i].observe(naive_, m_.cpu(i));
}

void Execution::count(const Translation& t) {
  switch (t.outcome) {
    case Outcome::kTranslated: ++stats_.translated; break;
    case Outcome::kGuestFault: ++stats_.guest_faults; break;
    case Outcome::kHostViolation:
    case Outcome::kNotBacked: ++stats_.host_violations; break;
  }
}

}  // namespace gnomon::scenario

// SPDX-License-Identifier: Apache-2.0
#include "tests/scenario/runner.h"

#include <memory>

#include "tests/scenario/execution.h"

namespace gnomon::scenario {

RunStats& RunStats::operator+=(const RunStats& o) {
  for (uint64_t RunStats::*m :
       {&RunStats::programs, &RunStats::steps, &RunStats::accesses, &RunStats::translated,
        &RunStats::guest_faults, &RunStats::host_violations, &RunStats::trapped_stores,
        &RunStats::flag_updates, &RunStats::stale_answers, &RunStats::forced_flushes,
        &RunStats::refused}) {
    this->*m += o.*m;
  }
  return *this;
}

absl::StatusOr<std::optional<Failure>> run(const Program& program, absl::string_view spec,
                                           const RunOptions& options, RunStats& stats) {
  absl::StatusOr<std::unique_ptr<Machine>> machine = Machine::create(program.setup, spec);
  if (!machine.ok()) return machine.status();
  absl::StatusOr<std::unique_ptr<Mirror>> mirror = Mirror::create(program.setup);
  if (!mirror.ok()) return mirror.status();
  ++stats.programs;
  return Execution(**machine, **mirror, program, spec, options, stats).run();
}

}  // namespace gnomon::scenario

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_RUNNER_H_
#define TESTS_SCENARIO_RUNNER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tests/scenario/program.h"

namespace gnomon::scenario {

struct Failure {
  size_t step;    ///< number of the action, from 0
  int invariant;  ///< found by the auditor; 0: the answer or memory is not what the model says
  std::string text;
};

struct RunStats {
  uint64_t programs = 0;
  uint64_t steps = 0;
  uint64_t accesses = 0;
  uint64_t translated = 0;
  uint64_t guest_faults = 0;
  uint64_t host_violations = 0;
  uint64_t trapped_stores = 0;
  uint64_t flag_updates = 0;
  uint64_t stale_answers = 0;  ///< allowed: nothing had been flushed
  uint64_t forced_flushes = 0;
  uint64_t refused = 0;
  RunStats& operator+=(const RunStats& other);
};

struct RunOptions {
  bool audit = true;
  /// All of guest memory is compared every so many steps (and at the end); between, what was
  /// written.
  unsigned full_compare_every = 64;
  /// Every so many steps an access is first asked for as a probe.
  unsigned probe_every = 8;
  /// Everything at every step: to find the step that did it.
  RunOptions thorough() const { return {audit, 1, 1}; }
};

/// Runs the program on a fresh machine with the backend `spec`, comparing each answer with the
/// naive model, guest memory with its mirror, and asking the auditor after every step. nullopt: all
/// well. Errors: those of create_backend.
absl::StatusOr<std::optional<Failure>> run(const Program& program, absl::string_view spec,
                                           const RunOptions& options, RunStats& stats);

/// The shortest program found that still fails on `spec` (delta debugging: ever smaller pieces are
/// left out while it fails), with the failure it ends in.
Program minimise(const Program& program, absl::string_view spec, const RunOptions& options);

/// The report of a failure: where and why, and the minimised program as text to keep.
std::string report(const Program& program, absl::string_view spec, const RunOptions& options,
                   const Failure& failure);

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_RUNNER_H_

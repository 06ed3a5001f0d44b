// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_SUITE_H_
#define TESTS_SCENARIO_SUITE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/scenario/runner.h"

namespace gnomon::scenario {

/// Every backend, and the options of the shadow pager that change what it does.
absl::Span<const absl::string_view> all_specs();

struct SuiteResult {
  RunStats stats;
  double seconds = 0;
  std::string skipped;  ///< why the spec cannot be run here; empty if it ran
  std::optional<Failure> failure;
  uint64_t seed = 0;  ///< of the failing program
  Program program;    ///< the failing one
};

/// Runs random programs with the seeds `seed`, `seed` + 1, … until `steps` steps are done or one
/// fails.
SuiteResult run_random(absl::string_view spec, uint64_t seed, uint64_t steps,
                       const RunOptions& options = {});

/// Seed, step, cause and minimised program of a failed run.
std::string report(absl::string_view spec, const SuiteResult& result,
                   const RunOptions& options = {});

/// "shadow: 300000 steps, 61000/s, …".
std::string summary(absl::string_view spec, const SuiteResult& result);

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_SUITE_H_

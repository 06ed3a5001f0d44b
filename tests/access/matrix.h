// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_ACCESS_MATRIX_H_
#define TESTS_ACCESS_MATRIX_H_

#include <string>
#include <vector>

#include "tests/access/space.h"

namespace gnomon::access_test {

struct MatrixOptions {
  Space space;
  std::vector<std::string> backends;  ///< specs for create_backend
  /// Every n-th case runs; with n > 1 also every case that is within two table flags of an
  /// all-permissive mapping.
  uint64_t stride = 1;
  unsigned threads = 1;
  bool accessed_before_fault = true;
  bool pdptes_in_memory = false;
};

/// What one backend did.
struct BackendReport {
  std::string backend;
  bool registered = true;  ///< false: the build has no such backend; nothing ran
  uint64_t cases = 0;
  uint64_t accesses = 0;
  uint64_t faults = 0;
  uint64_t mismatches = 0;
  uint64_t audits = 0;
  double seconds = 0;  ///< of one core
  std::vector<std::string> first_mismatches;
};

/// Runs the cases on each backend against the naive model: outcome, error code, level, address, and
/// both entries with their A and D flags after each of two accesses.
std::vector<BackendReport> run_matrix(const MatrixOptions& options);

/// "native: 28753920 cases, 57507840 accesses (… faults), 0 mismatches, 0.21 us a case".
std::string to_string(const BackendReport& report);

}  // namespace gnomon::access_test

#endif  // TESTS_ACCESS_MATRIX_H_

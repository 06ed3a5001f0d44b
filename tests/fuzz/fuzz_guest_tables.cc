// SPDX-License-Identifier: Apache-2.0
//
// Hostile guests: bytes choose the steps of a scenario (tests/scenario), and each backend must
// answer as the naive model does, keep guest memory as it should be and satisfy the auditor after
// every step.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "absl/types/span.h"
#include "tests/scenario/generator.h"
#include "tests/scenario/suite.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace s = gnomon::scenario;
  if (size == 0) return 0;
  // One backend an input: the first byte says which, so that the fuzzer can tell them apart.
  const absl::Span<const absl::string_view> specs = s::all_specs();
  const absl::string_view spec = specs[data[0] % specs.size()];
  const s::Program program = s::generate_from(absl::MakeConstSpan(data + 1, size - 1));
  const s::RunOptions options;
  s::RunStats stats;
  const auto end = s::run(program, spec, options, stats);
  if (!end.ok() || !end->has_value()) return 0;
  std::fprintf(stderr, "%s\n", s::report(program, spec, options, **end).c_str());
  std::abort();
}

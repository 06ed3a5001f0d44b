// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_GENERATOR_H_
#define TESTS_SCENARIO_GENERATOR_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "gnomon/x86/controls.h"
#include "tests/scenario/program.h"

namespace gnomon::scenario {

/// A random program of about `length` actions: valid page tables first, in one mode, and then
/// anything. Everything happens to a handful of frames and addresses, so that tables are aliased,
/// shared, self-mapped and used as data and as tables of another level all the time. `only`: in
/// this paging mode.
Program generate(uint64_t seed, unsigned length, std::optional<PagingMode> only = std::nullopt);

/// The same kind of program, its choices taken from `bytes` instead of a random number generator,
/// for fuzzers. It ends when the bytes do.
Program generate_from(absl::Span<const uint8_t> bytes);

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_GENERATOR_H_

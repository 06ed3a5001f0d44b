// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CPU_NATIVE_COMPARE_H_
#define TESTS_CPU_NATIVE_COMPARE_H_

#include <cstdint>
#include <string>

#include "tests/cpu_native/generator.h"
#include "tests/cpu_native/snippet.h"
#include "tests/native_cpu/state.h"

namespace gnomon::vmm::native {

/// What one run left.
struct Result {
  Stop stop;
  State state;
};

/// Flags that a run of `s` from `input` leaves undefined, if it stopped like this.
uint32_t undefined_after(const Snippet& s, const Input& input, const Result& host);

/// Does the manual leave open what a processor does here, so that there is nothing to compare?
/// (Faults of masked stores for bytes that are not stored, and of instructions with several
/// accesses; what goes round the end of a segment; a control bit that only some vendors have.)
bool is_open(const Snippet& s, const Result& host, const Result& guest);

/// Do the two agree on all but memory?
bool same(const Snippet& s, const Result& host, const Result& guest, uint32_t undefined);

/// What differs, a line each.
std::string differences(const Snippet& s, const Result& host, const Result& guest,
                        uint32_t undefined);
/// Registers that matter for a report.
std::string describe(const Snippet& s, const Input& input);

}  // namespace gnomon::vmm::native

#endif  // TESTS_CPU_NATIVE_COMPARE_H_

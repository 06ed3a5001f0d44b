// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GUESTS_GUEST_RUN_H_
#define TESTS_GUESTS_GUEST_RUN_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gnomon/vmm/machine.h"
#include "tests/support/scale.h"

// The guest programs of tools/guests, from their start to their end.

namespace gnomon::vmm::guests_test {

/// All ways to virtualize the memory of a guest that knows nothing of it, native first.
const std::vector<std::string>& backends();

/// A machine of 32 MB for the guest of that name (no end if it was not built: see require_guests).
MachineOptions options_for(absl::string_view guest, absl::string_view backend,
                           absl::string_view command_line = "");
/// The kernels' command line: all programs, with less work than by default. `tiny`: as little as
/// there can be.
absl::string_view short_work();
absl::string_view tiny_work();

/// What can be seen of a run.
struct Outcome {
  RunEnd end;
  std::string console;
  uint64_t trace_hash = 0;
  uint64_t memory_hash = 0;
  uint64_t instructions = 0;
  uint64_t guest_ns = 0;
  Counters counters;
  std::string registers;  ///< of the processor that ended it
};

/// How a machine is taken to its end.
using Driver = std::function<RunEnd(Machine&)>;
/// In one go.
RunEnd run_at_once(Machine& machine);

/// Creates the machine, runs it with `drive`, finishes its trace if it has one.
Outcome run_guest(MachineOptions options, const Driver& drive = run_at_once);

/// With an audit at every exit, in little memory. It is the same guest as on bare metal.
Outcome run_audited(MachineOptions options);

/// Status 0.
void expect_success(const Outcome& outcome);
/// The guest cannot tell them apart: console, end, every exit, memory.
void expect_same(const Outcome& a, const Outcome& b);
void expect_same_counters(const Counters& a, const Counters& b);

/// Parameter names of tests: letters and digits of any text.
std::string as_name(absl::string_view text);

}  // namespace gnomon::vmm::guests_test

/// Guests are only built where the compiler can.
#ifdef GNOMON_TEST_GUESTS
#define REQUIRE_GUESTS() static_cast<void>(0)
#else
#define REQUIRE_GUESTS() GTEST_SKIP() << "the guest programs are not built on this machine"
#endif

#endif  // TESTS_GUESTS_GUEST_RUN_H_

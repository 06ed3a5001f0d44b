// SPDX-License-Identifier: Apache-2.0
//
// The small guests, which check one mechanism of the processor each and say PASS or FAIL.
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/guests/guest_run.h"

namespace gnomon::vmm::guests_test {
namespace {

class Small : public testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  void SetUp() override { REQUIRE_GUESTS(); }
  MachineOptions options() const {
    MachineOptions o = options_for(std::get<0>(GetParam()), std::get<1>(GetParam()));
    if (std::get<0>(GetParam()) == "smp") o.board.cpus = 2;
    return o;
  }
  void expect_passes(const Outcome& o) const {
    expect_success(o);
    unsigned passed = 0;
    for (const absl::string_view line : absl::StrSplit(o.console, '\n')) {
      EXPECT_FALSE(absl::StartsWith(line, "FAIL")) << line;
      passed += absl::StartsWith(line, "PASS ");
    }
    EXPECT_GE(passed, 3u) << o.console;
    EXPECT_THAT(o.console, testing::HasSubstr(absl::StrCat(std::get<0>(GetParam()), ": PASS")));
  }
};

TEST_P(Small, Passes) { expect_passes(run_guest(options())); }

TEST_P(Small, BreaksNoInvariant) {
  if (small_scale() && std::get<0>(GetParam()) == "timer")
    GTEST_SKIP() << "long: not at a small scale";
  expect_passes(run_audited(options()));
}

TEST_P(Small, PassesInSlices) {
  for (const uint64_t slice : {1, 977}) {
    // A timer waits long: in steps of one instruction only its start is looked at.
    const Driver in_slices = [&](Machine& machine) {
      for (uint64_t i = 0; i < (slice == 1 ? 50'000u : 20'000u); ++i) {
        const RunEnd end = machine.run(slice);
        if (end.reason != RunEnd::Reason::kLimit) return end;
      }
      return run_at_once(machine);
    };
    const Outcome sliced = run_guest(options(), in_slices);
    expect_passes(sliced);
    expect_same(sliced, run_guest(options()));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Small,
    testing::Combine(testing::Values("popf", "holes", "faults", "faults64", "paging", "paging64",
                                     "rights64", "selfmap", "smc", "timer", "ring3", "smp"),
                     testing::ValuesIn(backends())),
    [](const auto& p) {
      return absl::StrCat(std::get<0>(p.param), "_", as_name(std::get<1>(p.param)));
    });

TEST(SmallGuest, TripleFaultEndsTheMachine) {
  REQUIRE_GUESTS();
  for (const std::string& backend : backends()) {
    SCOPED_TRACE(backend);
    const Outcome o = run_guest(options_for("triple", backend));
    EXPECT_EQ(o.end.reason, RunEnd::Reason::kShutdown);
    EXPECT_THAT(o.end.text, testing::HasSubstr("triple fault of processor 0 at 0x1"));
    EXPECT_THAT(o.registers,
                testing::AllOf(testing::HasSubstr("rip 0000000000"), testing::HasSubstr("cr3 ")));
  }
}

TEST(SmallGuest, PopfMisbehavesWhereItDoesNotTrap) {
  REQUIRE_GUESTS();
  for (const std::string& backend : backends()) {
    SCOPED_TRACE(backend);
    MachineOptions options = options_for("popf", backend);
    options.naive = true;
    const Outcome o = run_guest(options);
    EXPECT_EQ(o.end.reason, RunEnd::Reason::kExit) << o.end.text;
    EXPECT_EQ(o.end.status, 1);
    EXPECT_THAT(o.console, testing::HasSubstr("popf: FAIL"));
  }
}

}  // namespace
}  // namespace gnomon::vmm::guests_test

// SPDX-License-Identifier: Apache-2.0
//
// Would the auditor and the differential tester notice the bugs they are there for? In a build with
// GNOMON_DEFECTS each deliberate bug is switched on in turn, and must be caught; with none on,
// nothing may be. The table that is printed says what caught what, and how fast.

#include "mmu/defects.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "tests/scenario/suite.h"

namespace gnomon {
namespace {

#ifdef GNOMON_DEFECTS

using scenario::SuiteResult;

constexpr uint64_t kMostSteps = 2'000'000;  // per defect, over all these:
// Each is caught where it matters most: the plain pager, the one that is always short of memory,
// the one that tracks every write, and the one whose guest reads trap.
constexpr absl::string_view kSpecs[] = {"shadow", "shadow:budget=96K,roots=1",
                                        "shadow:unsync=off,prefetch=0,flood=0",
                                        "shadow:directory=full-trap"};
constexpr uint64_t kSlice = 20'000;

struct Catch {
  std::string by;  // empty: not caught
  absl::string_view spec;
  uint64_t steps = 0;
  std::string text;
};

// Runs the specs in turn, a slice each, until one of them fails.
Catch hunt(uint64_t most_steps) {
  Catch result;
  for (uint64_t seed = 1; result.steps < most_steps; seed += 1000) {
    for (const absl::string_view spec : kSpecs) {
      const SuiteResult run = scenario::run_random(spec, seed, kSlice);
      if (!run.skipped.empty()) {
        result.by = "cannot run: " + run.skipped;
        return result;
      }
      result.steps += run.stats.steps;
      if (!run.failure) continue;
      const int invariant = run.failure->invariant;
      result.by = invariant == 0 ? std::string("differential")
                                 : absl::StrFormat("auditor, invariant %d", invariant);
      result.spec = spec;
      result.text = run.failure->text;
      return result;
    }
  }
  return result;
}

TEST(Defects, EachIsCaughtAndNothingElse) {
  active_defect = Defect::kNone;
  const Catch none = hunt(200'000);
  ASSERT_TRUE(none.by.empty()) << "without a defect: " << none.by << ", " << none.spec << "\n"
                               << none.text;
  std::printf("%-36s %-9s %-24s %-30s %s\n", "defect", "invariant", "caught by", "backend",
              "steps");
  for (const DefectInfo& d : kDefects) {
    if (d.id == Defect::kNone) continue;
    active_defect = d.id;
    const Catch c = hunt(kMostSteps);
    std::printf("%-36s %-9d %-24s %-30s %d\n", std::string(d.name).c_str(), d.invariant,
                c.by.empty() ? "NOTHING" : c.by.c_str(), std::string(c.spec).c_str(),
                static_cast<int>(c.steps));
    std::fflush(stdout);
    EXPECT_FALSE(c.by.empty()) << d.name << ": " << d.description << " goes unnoticed";
    RecordProperty(std::string(d.name), c.by);
  }
  active_defect = Defect::kNone;
}

#else

static_assert(!defect(Defect::kReclaimFatal), "an ordinary build has no defects");

TEST(Defects, AreNotInThisBuild) {
  for (const DefectInfo& d : kDefects) EXPECT_FALSE(defect(d.id)) << d.name;
}

#endif

TEST(Defects, HaveANameAndAnInvariant) {
  for (const DefectInfo& d : kDefects) {
    if (d.id == Defect::kNone) continue;
    EXPECT_FALSE(d.name.empty());
    EXPECT_FALSE(d.description.empty());
    EXPECT_GE(d.invariant, 1) << d.name;
    EXPECT_LE(d.invariant, 9) << d.name;
  }
}

}  // namespace
}  // namespace gnomon

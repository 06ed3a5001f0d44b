// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>


#include "absl/strings/str_format.h"
#include "tests/guest/program.h"
#include "tests/support/scale.h"

namespace gnomon::guest_test {
namespace {

constexpr auto kNever = HugePages::kNever;
constexpr auto kMadvise = HugePages::kMadvise;
constexpr auto kAlways = HugePages::kAlways;
constexpr auto kSequential = FramePlacement::kSequential;
constexpr auto kRandom = FramePlacement::kRandom;
constexpr auto kFragmented = FramePlacement::kFragmented;

class GuestRandom : public testing::TestWithParam<Setup> {};

TEST_P(GuestRandom, TablesAreWhatTheModelSays) {
  const int steps = by_scale(200, 700, 700);
  uint64_t refused = 0;
  GuestStats sum;
  for (uint64_t seed = 1; seed <= by_scale(1u, 4u, 4u); ++seed) {
    SCOPED_TRACE(absl::StrFormat("seed %d", seed));
    RandomProgram program(GetParam(), seed);
    for (int step = 0; step < steps; ++step) {
      SCOPED_TRACE(absl::StrFormat("step %d", step));
      program.step();
      program.check();
      if (HasFailure()) return;
    }
    program.finish();
    for (const AuditFinding& f : program.machine().mmu->audit()) ADD_FAILURE() << f.text;
    if (HasFailure()) return;
    refused += program.refused();
    for (const GuestStatInfo& row : guest_stat_table())
      sum[row.id] += program.machine().stat(row.id);
  }
  if (small_scale()) return;
  // The programs do reach what they are meant to test.
  using S = GuestStat;
  const bool tight = GetParam().kilobytes < (32 << 10);
  if (tight) {
    EXPECT_NE(refused, 0u) << "memory was never short";
    return;
  }
  for (const S s :
       {S::kFaultsAnonymous, S::kFaultsFile, S::kFaultsCow, S::kFaultsRights, S::kFaultsRefused,
        S::kPagesCopied, S::kPagesAround, S::kPageCacheHits, S::kTablesFreed, S::kForks, S::kExecs,
        S::kExits, S::kShootdowns, S::kFaultsHuge, S::kHugePagesSplit}) {
    const bool huge = s == S::kFaultsHuge || s == S::kHugePagesSplit;
    if (huge && GetParam().thp == kNever) continue;
    EXPECT_NE(sum[s], 0u) << guest_stat_table()[static_cast<size_t>(s)].name;
  }
}

TEST(GuestBackends, TheGuestIsTheSameUnderEachOfThem) {
  guest_test::Setup setup{"native", kAlways, kRandom, true, true, false};
  GuestStats expected;
  for (const char* backend :
       {"native", "shadow", "shadow:directory=full-trap", "vtlb", "nested", "npt", "agile"}) {
    setup.backend = backend;
    RandomProgram program(setup, 11);
    for (int step = 0; step < 300; ++step) program.step();
    program.finish();
    for (const GuestStatInfo& row : guest_stat_table()) {
      const uint64_t value = program.machine().stat(row.id);
      if (absl::string_view(backend) == "native") expected[row.id] = value;
      EXPECT_EQ(value, expected[row.id]) << row.name << " under " << backend;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Setups, GuestRandom,
    testing::Values(Setup{"native", kNever, kSequential, false, false, true},
                    Setup{"native", kAlways, kSequential, false, true, true},
                    Setup{"native", kMadvise, kRandom, true, false, true},
                    Setup{"native", kAlways, kFragmented, true, true, false},
                    Setup{"native", kNever, kRandom, false, false, false, 300},
                    Setup{"native", kAlways, kSequential, true, false, true, 4300},
                    Setup{"shadow", kNever, kSequential, false, true, true},
                    Setup{"shadow", kAlways, kRandom, true, false, false},
                    Setup{"shadow", kAlways, kFragmented, true, true, true},
                    Setup{"shadow", kAlways, kSequential, false, false, true, 5 << 10},
                    Setup{"nested", kMadvise, kSequential, true, true, true},
                    Setup{"nested", kAlways, kRandom, false, true, false},
                    Setup{"vtlb", kAlways, kSequential, true, true, true},
                    Setup{"agile", kAlways, kRandom, true, true, false}));

}  // namespace
}  // namespace gnomon::guest_test

// SPDX-License-Identifier: Apache-2.0
//
// Guests that mean harm: whatever they do, the machine ends cleanly, its tables stay sound, and
// nothing changes but their own memory.
#include <gtest/gtest.h>


#include "absl/strings/str_cat.h"
#include "tests/hostile_guest/guest.h"
#include "tests/support/scale.h"

namespace gnomon::vmm::hostile {
namespace {

unsigned guests() { return by_scale(60u, 400u, 10'000u); }

class Hostile : public testing::TestWithParam<std::string> {};

TEST_P(Hostile, GuestsHarmOnlyThemselves) {
  uint64_t executed = 0;
  for (uint64_t seed = 1; seed <= guests(); ++seed) {
    Choices choices(seed);
    const Guest guest = make_guest(choices);
    const Result r = run(guest, GetParam(), 10'000, /*audit=*/true);
    ASSERT_EQ(r.wrong, "") << "seed " << seed << " after " << r.instructions << " instructions";
    executed += r.instructions;
  }
  // Most guests live long enough to do some harm.
  EXPECT_GE(executed, 20 * guests());
}

// Who cannot change page tables sees no stale translations either.
TEST_P(Hostile, GuestsThatCannotReachTheirTablesAreTheSameAsOnBareMetal) {
  unsigned compared = 0;
  for (uint64_t seed = 1; seed <= 2 * guests(); ++seed) {
    Choices choices(seed * 0x1'0001);
    const Guest guest = make_guest(choices);
    if (!guest.tables_out_of_reach && guest.mode != Mode::kReal) continue;
    const Result bare = run(guest, "native", 5'000, /*audit=*/false);
    if (bare.wrote_controls) continue;
    const Result r = run(guest, GetParam(), 5'000, /*audit=*/false);
    ASSERT_EQ(r.instructions, bare.instructions)
        << "seed " << seed << ": " << r.end.text << "; " << bare.end.text;
    ASSERT_EQ(r.trace_hash, bare.trace_hash) << "seed " << seed;
    ASSERT_EQ(r.memory_hash, bare.memory_hash) << "seed " << seed;
    ++compared;
  }
  EXPECT_GE(compared, guests() / 8);
}

INSTANTIATE_TEST_SUITE_P(All, Hostile, testing::ValuesIn(backends()), [](const auto& p) {
  std::string name;
  for (const char c : p.param) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) name.push_back(c);
  }
  return name;
});

}  // namespace
}  // namespace gnomon::vmm::hostile

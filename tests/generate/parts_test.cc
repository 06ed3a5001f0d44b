// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic below the patterns.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "traces/generate/fixed_point.h"
#include "traces/generate/permutation.h"
#include "traces/generate/random.h"
#include "traces/generate/rank_law.h"

namespace gnomon::generate {
namespace {

TEST(FixedPoint, LogarithmsOfPowersOfTwoAreExact) {
  for (uint64_t i = 0; i < 63; ++i) EXPECT_EQ(log2_fixed(uint64_t{1} << i), i << kLogBits);
}

TEST(FixedPoint, LogarithmsAreThoseOfTheLibrary) {
  Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t x = 1 + (random.next() >> (2 + random.below(60)));
    const double log = std::ldexp(static_cast<double>(log2_fixed(x)), -57);
    ASSERT_NEAR(log, std::log2(static_cast<double>(x)), 1e-14 * (1 + log)) << x;
  }
}

TEST(FixedPoint, LogarithmsGrow) {
  uint64_t last = 0;
  for (uint64_t x = 2; x < 100'000; ++x) {
    const uint64_t log = log2_fixed(x);
    ASSERT_GT(log, last) << x;
    last = log;
  }
}

TEST(FixedPoint, InversePowers) {
  constexpr uint64_t kOne = uint64_t{1} << kPowerBits;
  for (uint64_t x = 1; x < 100'000; x += 1 + x / 50) {
    EXPECT_EQ(inverse_power(x, 0), kOne);
    // Against the quotient, to 2^-50 of it.
    const uint64_t exact = kOne / x, got = inverse_power(x, 100);
    const uint64_t off = got > exact ? got - exact : exact - got;
    EXPECT_LE(off, (exact >> 50) + 1) << x;
    for (const uint64_t s : {1, 50, 99, 101, 250, 400}) {
      const double want = std::pow(static_cast<double>(x), -static_cast<double>(s) / 100);
      const double power = std::ldexp(static_cast<double>(inverse_power(x, s)), -62);
      EXPECT_NEAR(power, want, 1e-13 * want + 1e-18) << x << " to " << s;
    }
  }
  EXPECT_EQ(inverse_power(2, 6200), 1u);
  EXPECT_EQ(inverse_power(2, 6300), 0u);
  EXPECT_EQ(inverse_power(uint64_t{1} << 34, 1000), 0u);
}

TEST(Random, BelowIsExactAndUnbiased) {
  Random random(7);
  for (uint64_t bound = 1; bound < 50; ++bound) {
    std::vector<uint64_t> counts(bound);
    for (uint64_t i = 0; i < 1000 * bound; ++i) ++counts.at(random.below(bound));
    for (const uint64_t n : counts) EXPECT_NEAR(static_cast<double>(n), 1000, 200) << bound;
  }
  // Where a remainder would favour the lower third two to one.
  constexpr uint64_t kBound = uint64_t{3} << 62;
  uint64_t low = 0;
  for (int i = 0; i < 30'000; ++i) {
    const uint64_t x = random.below(kBound);
    ASSERT_LT(x, kBound);
    low += x < kBound / 3;
  }
  EXPECT_NEAR(static_cast<double>(low), 10'000, 500);
}

TEST(Random, IsXoshiroFilledBySplitMix) {
  // The sequence of the published generator from state 1, 2, 3, 4.
  Random published({1, 2, 3, 4});
  for (const uint64_t want : {41943041u, 58720359u}) EXPECT_EQ(published.next(), want);
  EXPECT_EQ(published.next(), 3588806011781223u);
  EXPECT_EQ(published.next(), 3591011842654386u);
  EXPECT_EQ(published.next(), 9228616714210784205u);
  EXPECT_EQ(published.next(), 9973669472204895162u);
  // And the first words of SplitMix64 from seed 0.
  EXPECT_EQ(mix(kGolden), 0xe220a8397b1dcdafu);
  EXPECT_EQ(mix(2 * kGolden), 0x6e789e6aa1b965f4u);
  EXPECT_EQ(mix(3 * kGolden), 0x06c45d188009454fu);
  const uint64_t first = mix(kGolden), last = mix(4 * kGolden);
  EXPECT_EQ(Random(0).next(), std::rotl(first + last, 23) + first);
}

TEST(Permutation, HitsEveryValueOnce) {
  for (uint64_t size = 1; size < 600; ++size) {
    for (const uint64_t seed : {0, 1, 99}) {
      const Permutation permutation(size, seed);
      std::vector<bool> hit(size);
      for (uint64_t i = 0; i < size; ++i) {
        const uint64_t to = permutation(i);
        ASSERT_LT(to, size);
        ASSERT_FALSE(hit[to]) << to << " twice of " << size;
        hit[to] = true;
      }
    }
  }
}

TEST(Permutation, SpreadsNeighboursOfHugeSets) {
  const Permutation permutation(uint64_t{1} << 43, 1);
  std::vector<int> counts(64);
  for (uint64_t i = 0; i < 6400; ++i) ++counts[permutation(i) >> 37];
  for (const int n : counts) EXPECT_NEAR(n, 100, 60);
}

TEST(AliasTable, GivesEachWeightItsShare) {
  const std::vector<uint64_t> weights = {5, 0, 1, 94, 0, 300, 1, 99};
  const AliasTable table(std::vector<Wide>(weights.begin(), weights.end()));
  Random random(3);
  std::vector<uint64_t> counts(weights.size());
  for (int i = 0; i < 500'000; ++i) ++counts.at(table.draw(random));
  for (size_t i = 0; i < weights.size(); ++i) {
    const double want = 1000 * static_cast<double>(weights[i]);
    EXPECT_NEAR(static_cast<double>(counts[i]), want, 5 * std::sqrt(want)) << i;
  }
}

TEST(AliasTable, TakesWeightsOfAnyMagnitude) {
  Random random(4);
  const AliasTable huge({Wide{1} << 120, Wide{1} << 120});
  const AliasTable lone({Wide{1}});
  int second = 0;
  for (int i = 0; i < 1000; ++i) {
    second += huge.draw(random) == 1;
    ASSERT_EQ(lone.draw(random), 0u);
  }
  EXPECT_NEAR(second, 500, 100);
}

TEST(RankLaw, StaysWithinItsRanks) {
  Random random(5);
  for (const uint64_t ranks : {1, 2, 65534, 65535, 65536, 65537, 65551, 65552, 65553, 200'000}) {
    for (const Law law : {Law::kZipf, Law::kLogUniform}) {
      const RankLaw by(law, ranks, 0);
      uint64_t most = 0;
      for (int i = 0; i < 20'000; ++i) {
        const uint64_t rank = by.draw(random);
        ASSERT_GE(rank, 1u);
        most = std::max(most, rank);
      }
      ASSERT_LE(most, ranks);
      if (law == Law::kZipf) ASSERT_GT(most, ranks - ranks / 100 - 1);
    }
  }
}

}  // namespace
}  // namespace gnomon::generate

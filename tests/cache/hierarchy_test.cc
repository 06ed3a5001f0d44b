// SPDX-License-Identifier: Apache-2.0
#include "gnomon/cache/hierarchy.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/cache/naive_cache.h"
#include "tests/scenario/random.h"

namespace gnomon {
namespace {

constexpr size_t kLine = kCacheLineBytes;

CacheConfig lines(uint32_t l1, uint32_t w1, uint32_t l2 = 0, uint32_t w2 = 1, uint32_t l3 = 0,
                  uint32_t w3 = 1) {
  const auto level = [](uint32_t n, uint32_t w) {
    return CacheLevelConfig{static_cast<uint32_t>(n * kLine), w};
  };
  return {{level(l1, w1), level(l2, w2), level(l3, w3)}};
}

// Runs `at(i)` through both, and fails at the first difference.
void compare(const CacheConfig& config, int count, const std::function<uint64_t(int)>& at,
             const std::string& what) {
  ASSERT_TRUE(config.validate().ok()) << what;
  CacheHierarchy cache(config);
  NaiveHierarchy naive(config);
  for (int i = 0; i < count; ++i) {
    const Hpa hpa(at(i));
    ASSERT_EQ(cache.reference(hpa), naive.reference(hpa)) << what << ", reference " << i;
  }
}

TEST(CacheHierarchy, TinyGeometriesExhaustively) {
  // Every sequence of seven references to five lines, in caches of one to four lines and two
  // levels.
  for (uint32_t n1 = 1; n1 <= 4; ++n1) {
    for (uint32_t w1 = 1; w1 <= n1; ++w1) {
      if (n1 % w1 != 0) continue;
      for (const uint32_t n2 : {0u, 3u, 4u}) {
        const CacheConfig config = lines(n1, w1, n2, n2 == 0 ? 1 : n2 / (n2 == 4 ? 2 : 1));
        CacheHierarchy cache(config);
        for (int code = 0; code < 5 * 5 * 5 * 5 * 5 * 5 * 5; ++code) {
          cache.clear();
          NaiveHierarchy naive(config);
          for (int i = 0, rest = code; i < 7; ++i, rest /= 5) {
            const Hpa at(static_cast<uint64_t>(rest % 5) * kLine);
            ASSERT_EQ(cache.reference(at), naive.reference(at))
                << n1 << "/" << w1 << " over " << n2 << ", sequence " << code << ", reference "
                << i;
          }
        }
      }
    }
  }
}

TEST(CacheHierarchy, AgreesOnRandomStreams) {
  scenario::Random random(3);
  for (int round = 0; round < 60; ++round) {
    // Any number of sets, levels missing here and there, a last level that may be smaller than the
    // first.
    CacheConfig config;
    for (CacheLevelConfig& level : config.levels) {
      level.ways = static_cast<uint32_t>(1 + random.below(17));
      level.bytes = static_cast<uint32_t>(random.below(25) * level.ways * kLine);
    }
    const uint64_t span = 1 + random.below(2000);
    const uint64_t base = random.percent(50) ? 0 : random.next() % (kMaxCachedAddress / 2);
    compare(
        config, 3000,
        [&](int) {
          const uint64_t hot = random.percent(60) ? 40 : span;
          return base + random.below(hot) * kLine + random.below(kLine);
        },
        "round " + std::to_string(round));
  }
}

TEST(CacheHierarchy, AgreesOnStridesAndSequencesInPresets) {
  for (const CachePreset& preset : cache_presets()) {
    for (const uint64_t stride : {8u, 64u, 192u, 4096u, 65536u, 2097152u}) {
      compare(
          preset.config, 6000, [&](int i) { return static_cast<uint64_t>(i % 2500) * stride; },
          std::string(preset.name) + ", stride " + std::to_string(stride));
    }
  }
}

TEST(CacheHierarchy, ExtremeAddresses) {
  for (const uint32_t n : {1u, 3u, 8u}) {
    compare(
        lines(n, n), 8, [](int i) { return i % 2 == 0 ? 0 : kMaxCachedAddress - 1; }, "ends of memory");
  }
  CacheHierarchy cache(lines(4, 2));
  EXPECT_EQ(cache.reference(Hpa(0)), CacheHit::kMemory)
      << "an empty cache holds nothing, not line 0";
}

// Read once from end to end: each line misses once, whatever the geometry.
TEST(CacheHierarchy, SequentialStreamMissesOncePerLine) {
  for (const CachePreset& preset : cache_presets()) {
    if (preset.config.levels[0].bytes == 0) continue;
    CacheHierarchy cache(preset.config);
    constexpr uint64_t kLines = 5000;
    for (uint64_t byte = 0; byte < kLines * kLine; byte += 8) cache.data(Hpa(byte));
    const CacheStats& s = cache.stats;
    EXPECT_EQ(s.data[3], kLines) << preset.name;
    EXPECT_EQ(s.data[0], kLines * (kLine / 8 - 1)) << preset.name;
    EXPECT_EQ(s.data[1] + s.data[2], 0u) << preset.name;
  }
}

// Read again and again: what fits a level is found there from the second time on, and what is one
// line too much for it, in order, never is.
TEST(CacheHierarchy, WorkingSetThatFitsHasOnlyColdMisses) {
  for (const CachePreset& preset : cache_presets()) {
    for (size_t level = 0; level < 3; ++level) {
      const uint64_t set = preset.config.levels[level].bytes / kLine;
      if (set == 0) continue;
      CacheHierarchy cache(preset.config);
      for (int round = 0; round < 3; ++round) {
        for (uint64_t i = 0; i < set; ++i) cache.data(Hpa((1u << 30) + i * kLine));
      }
      EXPECT_EQ(cache.stats.data[3], set) << preset.name << " level " << level;
      EXPECT_EQ(cache.stats.data[level], 2 * set) << preset.name << " level " << level;
    }
  }
  constexpr uint32_t kWays = 6;
  CacheHierarchy lru(lines(kWays, kWays));
  for (int round = 0; round < 10; ++round) {
    for (uint64_t i = 0; i <= kWays; ++i) lru.data(Hpa(i * kLine));
  }
  EXPECT_EQ(lru.stats.data[0], 0u);
}

TEST(CacheHierarchy, EachLevelMayBeMissing) {
  for (unsigned present = 0; present < 8; ++present) {
    CacheConfig config;
    CacheHit second = CacheHit::kMemory;
    for (unsigned i = 3; i-- > 0;) {
      if ((present >> i & 1) == 0) continue;
      config.levels[i] = {1024, 2};
      second = static_cast<CacheHit>(i);
    }
    CacheHierarchy cache(config);
    EXPECT_EQ(cache.reference(Hpa(0x1000)), CacheHit::kMemory);
    EXPECT_EQ(cache.reference(Hpa(0x1000)), second) << present;
  }
}

TEST(CacheHierarchy, ClearForgets) {
  CacheHierarchy cache(find_cache_preset("tiny").value().config);
  cache.data(Hpa(64));
  cache.data(Hpa(64));
  cache.clear();
  EXPECT_EQ(cache.stats.data, (std::array<uint64_t, kCacheHitCount>{}));
  EXPECT_EQ(cache.reference(Hpa(64)), CacheHit::kMemory);
}

TEST(CacheConfig, Validation) {
  EXPECT_TRUE(CacheConfig{}.validate().ok());
  for (const CachePreset& preset : cache_presets()) {
    EXPECT_TRUE(preset.config.validate().ok()) << preset.name;
    EXPECT_FALSE(preset.description.empty());
    EXPECT_FALSE(preset.source.empty()) << preset.name;
    EXPECT_EQ(find_cache_preset(preset.name).value().description, preset.description);
  }
  const auto error = [](size_t level, CacheLevelConfig bad) {
    CacheConfig config;
    config.levels[level] = bad;
    const absl::Status s = config.validate();
    EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument) << bad.bytes << "/" << bad.ways;
    return std::string(s.message());
  };
  EXPECT_NE(error(0, {64, 0}).find("L1: no ways"), std::string::npos);
  EXPECT_NE(error(1, {100, 1}).find("L2: 100 bytes"), std::string::npos);
  EXPECT_NE(error(1, {64, 2}).find("2 ways"), std::string::npos);
  EXPECT_NE(error(2, {kMaxCacheBytes + 64, 1}).find("last level"), std::string::npos);
  error(0, {64, ~0u});
  error(0, {~0u, 1});
  error(2, {4096, 1u << 26});  // ways * 64 does not fit 32 bits
  const absl::Status unknown = find_cache_preset("pentium").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(unknown.message().find("goldencove"), absl::string_view::npos) << unknown;
}

}  // namespace
}  // namespace gnomon

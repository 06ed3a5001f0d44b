// SPDX-License-Identifier: Apache-2.0
#include "gnomon/tlb/walk_caches.h"

#include "gnomon/x86/format_legacy32.h"
#include "gnomon/x86/format_long.h"
#include "gtest/gtest.h"

namespace gnomon {
namespace {

std::unique_ptr<WalkCaches> caches(uint32_t entries = 4, uint32_t ways = 0) {
  WalkCacheConfig c;
  for (unsigned level = 2; level <= 5; ++level) c.guest[level] = c.host[level] = {entries, ways};
  c.nested = {entries, ways};
  return WalkCaches::create(c).value();
}

TEST(WalkCaches, FindTheDeepestTable) {
  auto c = caches();
  const Gva va(0x7f12'3456'7000);
  EXPECT_EQ(c->lookup<Long4>(va, 1, 4).level, 0u);
  c->fill<Long4>(4, va, 1, 0x1000, kAllRights);
  EXPECT_EQ(c->lookup<Long4>(va, 1, 4).level, 3u);
  c->fill<Long4>(2, va, 1, 0x3000, kRightUser);
  const CachedTable t = c->lookup<Long4>(va, 1, 4);
  EXPECT_EQ(t.level, 1u);
  EXPECT_EQ(t.table, 0x3000u);
  EXPECT_EQ(t.rights, kRightUser);
  EXPECT_EQ(c->lookup<Long4>(Gva(0x7f12'3456'7000 ^ (1 << 21)), 1, 4).level, 3u);
  EXPECT_EQ(c->lookup<Long4>(Gva(0x7f12'3456'7000 ^ (1 << 20)), 1, 4).level, 1u);
  EXPECT_EQ(c->lookup<Long4>(va, 2, 4).level, 0u) << "another PCID";
  EXPECT_EQ(c->statistics().guest_hits[2], 2u);
  EXPECT_EQ(c->statistics().guest_misses, 2u);
}

TEST(WalkCaches, PrefixesFollowTheFormat) {
  auto c = caches();
  c->fill<Legacy32Format>(2, Gva(0x0040'0000), 0, 0x5000, kAllRights);
  EXPECT_EQ(c->lookup<Legacy32Format>(Gva(0x007f'ffff), 0, 2).level, 1u);
  EXPECT_EQ(c->lookup<Legacy32Format>(Gva(0x0080'0000), 0, 2).level, 0u);
}

TEST(WalkCaches, LeastRecentlyUsedGoes) {
  auto c = caches(2);
  const auto at = [](uint64_t i) { return Gva(i << 21); };
  for (uint64_t i : {0, 1}) c->fill<Long4>(2, at(i), 0, i, kAllRights);
  EXPECT_EQ(c->lookup<Long4>(at(0), 0, 2).level, 1u);
  c->fill<Long4>(2, at(2), 0, 2, kAllRights);
  EXPECT_EQ(c->lookup<Long4>(at(1), 0, 2).level, 0u);
  EXPECT_EQ(c->lookup<Long4>(at(0), 0, 2).table, 0u);
  EXPECT_EQ(c->lookup<Long4>(at(2), 0, 2).table, 2u);
}

TEST(WalkCaches, FlushesReachWhatTheyName) {
  auto c = caches();
  const Gva va(0x1234'5000);
  const auto fill = [&] {
    for (uint16_t pcid : {0, 1}) c->fill<Long5>(5, va, pcid, 0x1000, kAllRights);
    c->fill_host(3, Gpa(0x1000), 0x9000, kAllRights);
    c->fill_nested(Gpa(0x1000), {Hpa(0x20'0000), PageSize::k4K, kAllRights});
  };
  const auto present = [&] {
    return std::array<bool, 4>{
        c->lookup<Long5>(va, 0, 5).level != 0, c->lookup<Long5>(va, 1, 5).level != 0,
        c->lookup_host(Gpa(0x1000), 4).level != 0, c->lookup_nested(Gpa(0x1000)) != nullptr};
  };
  using Expected = std::array<bool, 4>;
  fill();
  EXPECT_EQ(present(), (Expected{true, true, true, true}));
  c->flush_pcid(1);
  EXPECT_EQ(present(), (Expected{true, false, true, true}));
  fill();
  c->flush_guest();
  EXPECT_EQ(present(), (Expected{false, false, true, true}));
  fill();
  c->flush_host();
  EXPECT_EQ(present(), (Expected{true, true, false, false}));
  fill();
  c->flush_all();
  EXPECT_EQ(present(), (Expected{}));
}

TEST(WalkCaches, NestedPagesOfEverySize) {
  for (const PageSize size : {PageSize::k4K, PageSize::k2M, PageSize::k1G}) {
    auto c = caches();
    c->fill_nested(Gpa(0x4000'0000), {Hpa(0x1'4000'0000), size, kRightUser});
    const uint64_t last = 0x4000'0000 + bytes_of(size) - 1;
    ASSERT_NE(c->lookup_nested(Gpa(last)), nullptr);
    EXPECT_EQ(c->lookup_nested(Gpa(last))->hpa, Hpa(last + 0x1'0000'0000));
    EXPECT_EQ(c->lookup_nested(Gpa(last + 1)), nullptr);
  }
}

TEST(WalkCaches, WithoutEntriesTheyAreOff) {
  auto c = caches(0);
  c->fill<Long4>(2, Gva(0), 0, 0x1000, kAllRights);
  c->fill_nested(Gpa(0), {Hpa(0x1000), PageSize::k4K, kAllRights});
  EXPECT_EQ(c->lookup<Long4>(Gva(0), 0, 4).level, 0u);
  EXPECT_EQ(c->lookup_nested(Gpa(0)), nullptr);
}

TEST(WalkCaches, BadGeometriesAreRefused) {
  for (const WalkCacheGeometry g : {WalkCacheGeometry{5, 2}, {0, 1}, {2, 4}, {1u << 20, 4}}) {
    WalkCacheConfig c;
    c.guest[3] = g;
    EXPECT_FALSE(WalkCaches::create(c).ok()) << g.entries << "/" << g.ways;
  }
}

}  // namespace
}  // namespace gnomon

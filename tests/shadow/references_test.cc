// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"

// A shadow walk costs what a native walk of the host's own format costs: one reference a level.

namespace gnomon::shadow_test {
namespace {

constexpr auto k4K = PageSize::k4K;
constexpr auto k1G = PageSize::k1G;

struct GuestPage {
  absl::string_view name;
  PagingMode mode;
  PageSize guest, host;
  unsigned references;
  PageSize size;  ///< that a TLB may keep
};

constexpr GuestPage kCases[] = {
    {"4K on 4K", PagingMode::kLevel4, k4K, k4K, 4, k4K},
    {"4K on 2M", PagingMode::kLevel4, k4K, k2M, 4, k4K},
    {"2M on 2M", PagingMode::kLevel4, k2M, k2M, 3, k2M},
    {"2M on 4K", PagingMode::kLevel4, k2M, k4K, 4, k4K},
    {"1G on 4K", PagingMode::kLevel4, k1G, k4K, 4, k4K},
    {"1G on 2M", PagingMode::kLevel4, k1G, k2M, 3, k2M},
    {"1G on 1G", PagingMode::kLevel4, k1G, k1G, 2, k1G},
    {"5 levels, 4K", PagingMode::kLevel5, k4K, k4K, 5, k4K},
    {"5 levels, 2M on 2M", PagingMode::kLevel5, k2M, k2M, 4, k2M},
    {"PAE, 4K", PagingMode::kPae, k4K, k4K, 4, k4K},
    {"PAE, 2M on 2M", PagingMode::kPae, k2M, k2M, 3, k2M},
    {"32-bit, 4K", PagingMode::kLegacy32, k4K, k4K, 4, k4K},
    {"32-bit, 4M on 4K", PagingMode::kLegacy32, PageSize::k4M, k4K, 4, k4K},
    {"32-bit, 4M on 2M", PagingMode::kLegacy32, PageSize::k4M, k2M, 3, k2M},
    {"paging off on 4K", PagingMode::kOff, k4K, k4K, 4, k4K},
    {"paging off on 2M", PagingMode::kOff, k4K, k2M, 3, k2M},
};

class References : public ::testing::TestWithParam<absl::string_view> {};

TEST_P(References, OneForEachLevelOfTheShadow) {
  for (const GuestPage& c : kCases) {
    SCOPED_TRACE(std::string(c.name));
    const bool giant = c.guest == k1G;
    Machine m(GetParam(), {.mode = c.mode,
                           .ram = {.backing = c.host},
                           .ram_bytes = giant ? 1_GiB : 32_MiB,
                           .host_bytes = giant ? 3_GiB : 96_MiB});
    const uint64_t va = c.mode == PagingMode::kOff ? 0x40'3000 : 0x4040'3000;
    const uint64_t gpa = Gpa(0x40'3000).value();
    if (c.mode != PagingMode::kOff) {
      m.map(va & ~offset_mask(c.guest), gpa & ~offset_mask(c.guest), kUser, c.guest);
    }
    m.switch_to(m.first_root());
    const Translation first = m.touch(va + 0x18, kWrite);
    ASSERT_TRUE(first.ok()) << to_string(first);
    EXPECT_EQ(first.gpa, Gpa(giant ? 0x40'3018 : gpa + 0x18));
    EXPECT_EQ(first.size, c.size);
    const PageSize guest = c.mode == PagingMode::kOff ? k1G : c.guest;
    EXPECT_EQ(first.splintered, c.size < guest);

    m.mark();
    const std::vector<WalkReference> log = m.walk(va + 0x18, kWrite);
    ASSERT_EQ(log.size(), c.references);
    EXPECT_EQ(m.since(Counter::kWalks), 1u);
    const unsigned top = shadow::shadow_levels(c.mode);
    for (unsigned i = 0; i < log.size(); ++i) {
      EXPECT_EQ(log[i].dimension, WalkReference::Dimension::kShadow);
      EXPECT_EQ(log[i].level, top - i);
      EXPECT_EQ(m.since(static_cast<Counter>(static_cast<unsigned>(Counter::kWalkShadowL1) + top -
                                             i - 1)),
                1u);
      // Each table is where the entry before it points, and is the shadow's, not the guest's.
      EXPECT_EQ(m.host->owner(Hpa(log[i].address)), FrameOwner::kShadowTable);
      if (i > 0) {
        EXPECT_EQ(Hpa(log[i].address).page_base(), Hpa(log[i - 1].entry & pte::kFrameMask));
      }
    }
    EXPECT_EQ(Hpa(log.back().entry & pte::kFrameMask).page_base(c.size),
              first.hpa.page_base(c.size));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, References, ::testing::Values("shadow", "vtlb"),
                         [](const auto& i) { return std::string(i.param); });

TEST(ReferencesWithoutLargePages, AlwaysFourFor4Levels) {
  for (const absl::string_view spec : {"shadow:large=off", "vtlb:large=off"}) {
    Machine m(spec, {.ram = {.backing = k2M}});
    m.map(0x40'0000, 0x40'0000, kUser, k2M);
    m.flush();
    m.expect_mapped(0x40'3000, 0x40'3000, kWrite);
    EXPECT_EQ(m.walk(0x40'3000).size(), 4u);
    EXPECT_EQ(m.total()[Counter::kShadowLargeFills], 0u);
  }
}

}  // namespace
}  // namespace gnomon::shadow_test

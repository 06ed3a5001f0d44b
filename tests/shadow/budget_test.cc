// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"
#include "tests/support/scale.h"

// Running out of memory for shadow pages is never fatal: least recently used pages go, the guest
// gets slower, and no answer changes.

namespace gnomon::shadow_test {
namespace {

/// What one access on each vCPU may always need.
uint64_t least_bytes(unsigned cpus) { return 8 * (1 + cpus) * shadow::kBytesPerShadowPage; }

struct BudgetCase {
  absl::string_view name;
  PagingMode mode;
  absl::string_view options;
};

class Budget : public ::testing::TestWithParam<BudgetCase> {};

TEST_P(Budget, RightAtEveryBudget) {
  for (const uint64_t budget : {uint64_t{1}, 32_KiB, 200_KiB, 1_MiB}) {
    SCOPED_TRACE(budget);
    Machine m(absl::StrCat("shadow:budget=", budget, GetParam().options),
              {.mode = GetParam().mode, .cpus = 2});
    const bool wide =
        GetParam().mode == PagingMode::kLevel4 || GetParam().mode == PagingMode::kLevel5;
    const uint64_t stride = wide ? 0x11'4020'3000 : 0x0240'3000;
    std::vector<Gpa> spaces{m.first_root()};
    while (spaces.size() < 5) spaces.push_back(m.new_table());
    const auto va = [&](uint64_t i) { return i * stride; };
    for (size_t s = 0; s < spaces.size(); ++s) {
      for (uint64_t i = 0; i < 60; ++i) m.map_in(spaces[s], va(i), (i + s + 1) << 12);
    }
    Random random(budget);
    for (const unsigned cpu : {0u, 1u}) m.on(cpu), m.switch_to(spaces[0]);
    for (unsigned step = 0; step < by_scale(188u, 1500u, 12'000u) && !::testing::Test::HasFailure();
         ++step) {
      m.on(static_cast<unsigned>(random.below(2)));
      if (random.below(8) == 0) m.switch_to(spaces[random.below(5)]);
      if (random.below(8) == 0) {
        const uint64_t i = random.below(60);
        m.map_in(m.root(), va(i), random.below(64) << 12);
        m.invlpg(va(i));
        // The other vCPU flushes too, as the kernel's shootdown has it do.
        m.on(0), m.flush(), m.on(1), m.flush();
      }
      m.expect_agrees(va(random.below(60)), random.below(2) != 0 ? kRead : kWrite);
      EXPECT_NE(m.shadow().hardware_root(m.cpu()), Hpa());
      ASSERT_LE(m.mmu->table_bytes(), std::max(budget, least_bytes(2)));
      if (step % 100 == 0) m.expect_sound();
    }
    const Counters total = m.total();
    if (wide && budget <= 200_KiB) EXPECT_GT(total[Counter::kShadowPagesRecycled], 100u);
    EXPECT_EQ(total[Counter::kEmulatedAccesses], 0u);
    EXPECT_EQ(total[Counter::kTableBytesPeak] <= std::max(budget, least_bytes(2)), true);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Modes, Budget,
    ::testing::Values(BudgetCase{"Level4", PagingMode::kLevel4, ""},
                      BudgetCase{"Level4NoRoots", PagingMode::kLevel4, ",roots=0"},
                      BudgetCase{"Level4FullTrap", PagingMode::kLevel4,
                                 ",directory=full-trap,flags=lazy"},
                      BudgetCase{"Level4InSync", PagingMode::kLevel4, ",unsync=off"},
                      BudgetCase{"Level5", PagingMode::kLevel5, ",roots=16"},
                      BudgetCase{"Pae", PagingMode::kPae, ""},
                      BudgetCase{"Legacy32", PagingMode::kLegacy32, ",roots=16"}),
    [](const auto& i) { return std::string(i.param.name); });

// A path that is used again and again stays; those used once go.
TEST(BudgetOrder, LeastRecentlyUsedPagesGo) {
  Machine m("shadow:prefetch=0,roots=0,budget=200K");
  const auto region = [](uint64_t i) { return i << 30; };
  for (uint64_t i = 0; i < 64; ++i) {
    for (uint64_t k = 0; k < 2; ++k) m.map(region(i) + (k << 12), 0x5000, kUsed);
  }
  for (uint64_t k = 2; k < 66; ++k) m.map(k << 12, 0x5000, kUsed);
  m.expect_mapped(region(0), 0x5000);
  for (uint64_t i = 1; i < 64; ++i) {
    m.expect_mapped(region(i), 0x5000);
    m.expect_mapped((i + 1) << 12, 0x5000);  // a new entry through the path of region 0
  }
  EXPECT_GT(m.total()[Counter::kShadowPagesRecycled], 50u);
  EXPECT_EQ(m.pages_of(m.table_at(0, 1)), 1u);
  EXPECT_EQ(m.pages_of(m.table_at(region(1), 1)), 0u);
  m.mark();
  m.expect_mapped(region(0), 0x5000);
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 0u);
  m.expect_mapped(region(1), 0x5000);
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 1u);
}

TEST(BudgetOrder, RecyclingFlushesAllVcpus) {
  Machine m("shadow:budget=1,prefetch=0", {.cpus = 2});
  for (uint64_t i = 0; i < 16; ++i) m.map(i << 30, 0x5000, kUsed);
  for (uint64_t i = 0; i < 4; ++i) m.expect_mapped(i << 30, 0x5000);
  m.on(1);
  m.cpu().gate.flush_request.store(false);
  m.on(0);
  m.mark();
  for (uint64_t i = 0; i < 16; ++i) m.expect_mapped(i << 30, 0x5000);
  EXPECT_GT(m.since(Counter::kShadowPagesRecycled), 0u);
  EXPECT_GT(m.since(Counter::kTlbFlushRequests), 0u);
  m.on(1);
  EXPECT_TRUE(m.cpu().gate.flush_request.load());
}

}  // namespace
}  // namespace gnomon::shadow_test

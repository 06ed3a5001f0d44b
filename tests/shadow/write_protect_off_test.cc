// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"
#include "tests/support/scale.h"

// CR0.WP = 0 in the guest over a processor whose WP is always on: the supervisor may write
// read-only pages.

namespace gnomon::shadow_test {
namespace {

constexpr uint64_t kReadOnly = kP | kU | kA | kD;

TEST(WpOff, SupervisorPageBecomesWritable) {
  Machine m("shadow:prefetch=0");
  m.map(0x1000, 0x5000, kP | kA | kD);
  m.expect_fault(0x1000, pf::kPresent | pf::kWrite, kKernelWrite);
  m.set_wp(false);
  m.expect_mapped(0x1000, 0x5000, kKernelWrite);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wsx"));
  m.set_wp(true);
  m.expect_fault(0x1000, pf::kPresent | pf::kWrite, kKernelWrite);
  m.expect_mapped(0x1000, 0x5000, kKernelRead);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K -sx"));
}

// Stores and loads all over a large page that the host maps in small ones: each small page is filled once, whichever
// comes first (memtest86+ runs like that, with read-only entries above its large pages).
TEST(WpOff, LoadsAndStoresShareTheTableOfALargePage) {
  Machine m("shadow:prefetch=0");
  m.map(0x40'0000, 0x80'0000, kP | kA | kD, PageSize::k2M);
  m.set_wp(false);
  m.mark();
  for (int round = 0; round < 3; ++round) {
    for (uint64_t page = 0; page < 8; ++page) {
      m.expect_mapped(0x40'0000 + page * 0x1000, 0x80'0000 + page * 0x1000,
                      page % 2 == 0 ? kKernelRead : kKernelWrite);
      m.expect_mapped(0x40'0000, 0x80'0000, page % 2 == 0 ? kKernelWrite : kKernelRead);
    }
  }
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 8u);
  m.expect_sound();
  m.set_wp(true);
  m.expect_mapped(0x40'0000, 0x80'0000, kKernelRead);
  m.expect_fault(0x40'0000, pf::kPresent | pf::kWrite, kKernelWrite);
}

TEST(WpOff, UserPageFlipsBackAndForth) {
  Machine m("shadow:prefetch=0");
  m.map(0x1000, 0x5000, kReadOnly);
  m.set_wp(false);
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K -ux"));
  for (int round = 0; round < 3; ++round) {
    m.mark();
    m.expect_mapped(0x1000, 0x5000, kKernelWrite);
    EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wsx"));
    m.expect_mapped(0x1000, 0x5000, kKernelWrite);
    m.expect_mapped(0x1000, 0x5000, kKernelRead);
    EXPECT_EQ(m.since(Counter::kHiddenFaults), 1u);
    m.expect_fault(0x1000, pf::kPresent | pf::kWrite | pf::kUser, kWrite);
    m.expect_mapped(0x1000, 0x5000);
    EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K -ux"));
    EXPECT_EQ(m.since(Counter::kHiddenFaults), 2u);
    m.expect_sound();
  }
}

TEST(WpOff, SmepTakesExecutionFromTheFlippedEntry) {
  Machine m("shadow:prefetch=0", {.cr4 = cr4::kSMEP});
  m.map(0x1000, 0x5000, kReadOnly);
  m.set_wp(false);
  m.expect_mapped(0x1000, 0x5000, kKernelWrite);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K ws-"));
  m.expect_fault(0x1000, pf::kPresent | pf::kFetch, kKernelFetch);
  m.expect_mapped(0x1000, 0x5000, kFetch);
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K -ux"));
}

TEST(WpOff, SmapAndKeysEmulateEachStore) {
  struct Case {
    uint64_t cr4;
    bool ac;
    uint32_t pkru;
  };
  for (const Case& c : {Case{cr4::kSMAP, true, 0}, Case{cr4::kPKE, false, 2}}) {
    Machine m("shadow:prefetch=0", {.cr4 = c.cr4});
    m.map(0x1000, 0x5000, kReadOnly);
    m.set_wp(false);
    m.cpu().controls.ac = c.ac;
    m.cpu().controls.pkru =
        c.pkru;  // key 0 may not be written by the user; WP = 0: the supervisor may
    update_access_rules(m.cpu().rules, c.ac, c.pkru);
    m.mark();
    for (unsigned i = 1; i <= 3; ++i) {
      m.expect_mapped(0x1000, 0x5000, kKernelWrite);
      EXPECT_FALSE(m.touch(0x1000, kKernelWrite).cacheable);
      EXPECT_EQ(m.since(Counter::kEmulatedAccesses), 2 * i);
    }
    m.expect_mapped(0x1000, 0x5000);
    EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K -ux"));
    if (c.ac) {
      update_access_rules(m.cpu().rules, m.cpu().controls.ac = false, 0);
      m.expect_fault(0x1000, pf::kPresent | pf::kWrite, kKernelWrite);
    }
  }
}

TEST(WpOff, TogglesDoNotLeak) {
  Machine m("shadow");
  const uint64_t flags[] = {kReadOnly, kP | kA | kD, kUsed, kP | kW | kA, kP | kU, kUser};
  for (uint64_t i = 0; i < 6; ++i) m.map(i << 12, 0x5000 + (i << 12), flags[i]);
  Random random(7);
  const Access accesses[] = {kRead, kWrite, kFetch, kKernelRead, kKernelWrite, kKernelFetch};
  for (unsigned step = 0; step < by_scale(501u, 4000u, 32'000u) && !::testing::Test::HasFailure(); ++step) {
    if (random.below(4) == 0) m.set_wp(random.below(2) != 0);
    if (random.below(16) == 0) m.set_cr4(cr4::kSMEP, random.below(2) != 0);
    if (random.below(64) == 0) {
      const uint64_t i = random.below(6);
      m.map(i << 12, 0x5000 + (i << 12), flags[i]);
      m.invlpg(i << 12);
    }
    m.expect_agrees(random.below(6) << 12, accesses[random.below(6)]);
    if (step % 64 == 0) m.expect_sound();
  }
}

// The same with a page broken up, whose pieces hang in direct pages.
TEST(WpOff, LargeReadOnlyPage) {
  for (const PageSize backing : {PageSize::k4K, PageSize::k2M}) {
    Machine m("shadow", {.ram = {.backing = backing}});
    m.map(0x40'0000, 0x80'0000, kReadOnly, PageSize::k2M);
    m.set_wp(false);
    for (int round = 0; round < 3; ++round) {
      m.expect_mapped(0x40'1000, 0x80'1000, kKernelWrite);
      m.expect_sound();
      m.expect_mapped(0x40'2000, 0x80'2000);
      m.expect_fault(0x40'1000, pf::kPresent | pf::kWrite | pf::kUser, kWrite);
      m.expect_sound();
    }
    m.set_wp(true);
    m.expect_fault(0x40'1000, pf::kPresent | pf::kWrite, kKernelWrite);
  }
}

// A tracked table stays protected, also from a supervisor who may write everything.
TEST(WpOff, TrackedTable) {
  Machine m("shadow:unsync=off");
  m.map(0x1000, 0x5000, kUsed);
  m.map(0x2000, m.table_at(0x1000, 1).value(), kReadOnly);
  m.set_wp(false);
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_TRUE(m.touch(0x2000, kKernelWrite).trapped);
  m.guest_store(0x2008, 0x6000 | kUsed);
  m.expect_mapped(0x1000, 0x6000);
}

}  // namespace
}  // namespace gnomon::shadow_test

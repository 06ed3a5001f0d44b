// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "mmu/shadow/pte_list.h"
#include "tests/shadow/fixture.h"
#include "tests/support/scale.h"

// The reverse map finds every entry that maps a frame, however many there are and whatever the
// guest's tables say by now.

namespace gnomon::shadow_test {
namespace {

using shadow::PteId;
using shadow::PteList;
using shadow::PteListPool;

unsigned entries_mapping(const Machine& m, uint64_t gpa) {
  unsigned n = 0;
  const auto& pages = m.shadow().pages();
  pages.lists().for_each(pages.small_map(m.p2m.frame_index(Gpa(gpa))), [&](PteId) { ++n; });
  return n;
}

TEST(PteLists, AgreeWithASetUnderRandomChange) {
  Random random(1);
  PteListPool pool;
  std::vector<PteList> lists(7);
  std::vector<std::set<uint32_t>> model(lists.size());
  const unsigned steps = by_scale(7'500u, 60'000u, 480'000u);
  for (unsigned step = 0; step < steps; ++step) {
    const size_t i = random.below(lists.size());
    const PteId pte = PteId::make(static_cast<uint32_t>(1 + random.below(3)),
                                  static_cast<unsigned>(random.below(random.below(2) ? 512 : 8)));
    if (random.below(step % 4096 < 2048 ? 3 : 2) != 0) {
      if (model[i].insert(pte.code).second) pool.add(lists[i], pte);
    } else {
      EXPECT_EQ(pool.remove(lists[i], pte), model[i].erase(pte.code) != 0);
    }
    EXPECT_EQ(lists[i].empty(), model[i].empty());
    if (!model[i].empty()) EXPECT_TRUE(model[i].count(pool.any(lists[i]).code));
    EXPECT_EQ(pool.contains(lists[i], pte), model[i].count(pte.code) != 0);
    if (step % 97 == 0) {
      std::set<uint32_t> seen;
      unsigned n = 0;
      pool.for_each(lists[i], [&](PteId p) { seen.insert(p.code), ++n; });
      EXPECT_EQ(seen, model[i]);
      EXPECT_EQ(n, model[i].size());
    }
  }
  // Emptied lists give their nodes back: refilling takes no more memory.
  const auto drain = [&] {
    for (size_t i = 0; i < lists.size(); ++i) {
      while (!lists[i].empty()) EXPECT_TRUE(pool.remove(lists[i], pool.any(lists[i])));
    }
  };
  drain();
  const uint64_t bytes = pool.bytes();
  for (int round = 0; round < 50; ++round) {
    for (unsigned n = 0; n < 100; ++n) pool.add(lists[n % 7], PteId::make(1, n));
    drain();
  }
  EXPECT_EQ(pool.bytes(), bytes);
}

TEST(ReverseMap, FrameWithAThousandAliases) {
  constexpr unsigned kAliases = 1000;
  Machine m("shadow:prefetch=8");
  for (unsigned i = 0; i < kAliases; ++i) m.map(i << 12, 0x5000, kUsed);
  for (unsigned i = 0; i < kAliases; ++i) m.expect_mapped(i << 12, 0x5000, kWrite);
  EXPECT_EQ(m.total()[Counter::kHiddenFaults], kAliases / 8);
  EXPECT_EQ(m.mappings().size(), kAliases);
  EXPECT_EQ(entries_mapping(m, 0x5000), kAliases);

  const Hpa before = m.p2m.lookup(Gpa(0x5000)).frame();
  m.mark();
  ASSERT_TRUE(m.p2m.remap(Gpa(0x5000)).ok());
  EXPECT_NE(m.p2m.lookup(Gpa(0x5000)).frame(), before);
  EXPECT_THAT(m.mappings(), IsEmpty());
  EXPECT_EQ(entries_mapping(m, 0x5000), 0u);
  EXPECT_EQ(m.since(Counter::kTlbFlushRequests), 1u);
  for (unsigned i = 0; i < kAliases; i += 7) m.expect_mapped(i << 12, 0x5000, kWrite);
}

// A frame becomes a table while a thousand writable entries map it: all lose that right, none is
// dropped.
TEST(ReverseMap, AliasesOfANewTableAreWriteProtected) {
  Machine m("shadow:prefetch=64,unsync=off");
  const Gpa table = m.new_table();
  for (unsigned i = 0; i < 1000; ++i) m.map(i << 12, table.value(), kUsed);
  for (unsigned i = 0; i < 1000; ++i) m.expect_mapped(i << 12, table.value(), kWrite);
  m.mark();
  m.store_pte(m.entry_at(0x4000'0000, 2), table.value() | kUser);
  m.store_pte(table, 0x6000 | kUsed);
  m.expect_mapped(0x4000'0000, 0x6000);
  EXPECT_EQ(m.since(Counter::kWriteProtected), 1000u);
  const std::vector<std::string> list = m.mappings();
  ASSERT_EQ(list.size(), 1001u);
  for (unsigned i = 0; i < 1000; ++i) {
    ASSERT_EQ(list[i], absl::StrCat(absl::Hex(i << 12), ">", absl::Hex(table.value()), " 4K -ux"));
  }
  // Each alias traps, and what is written through it arrives.
  for (unsigned i = 0; i < 1000; i += 111) {
    m.guest_store(i << 12, (0x7000 + (i << 12)) | kUsed);
    m.expect_mapped(0x4000'0000, 0x7000 + (i << 12));
  }
}

// The guest's entry is changed behind an out-of-sync shadow; the host then takes the frame away
// that the shadow still maps.
TEST(ReverseMap, KnowsTheFrameWhateverTheGuestWroteSince) {
  Machine m("shadow:prefetch=0");
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  m.map(0x1000, 0x6000, kUsed);  // no flush: the old translation may still be used
  EXPECT_TRUE(m.unsync(m.table_at(0x1000, 1)));
  EXPECT_THAT(m.mappings(), ElementsAre("1000>5000 4K wux"));
  ASSERT_TRUE(m.p2m.balloon(Gpa(0x5000)).ok());
  EXPECT_THAT(m.mappings(), IsEmpty());
  m.expect_sound();
  m.expect_mapped(0x1000, 0x6000);
}

TEST(ReverseMap, LargeEntriesAreFoundThroughTheirRegion) {
  Machine m("shadow", {.ram = {.backing = PageSize::k2M}});
  for (unsigned i = 0; i < 40; ++i) m.map(0x4000'0000 + i * 2_MiB, 0x40'0000, kUsed, PageSize::k2M);
  for (unsigned i = 0; i < 40; ++i) m.expect_mapped(0x4000'5000 + i * 2_MiB, 0x40'5000, kWrite);
  EXPECT_EQ(m.mappings().size(), 40u);
  EXPECT_EQ(m.total()[Counter::kShadowLargeFills], 40u);
  ASSERT_TRUE(m.p2m.balloon(Gpa(0x47'f000)).ok());
  EXPECT_THAT(m.mappings(), IsEmpty());
  m.expect_mapped(0x4000'5000, 0x40'5000);
  EXPECT_THAT(m.mappings(), ElementsAre("40005000>405000 4K wux"));
  const Translation gone = m.touch(0x4007'f000);
  EXPECT_EQ(gone.cause, HostCause::kBallooned) << to_string(gone);
}

}  // namespace
}  // namespace gnomon::shadow_test

// SPDX-License-Identifier: Apache-2.0
#include "tests/shadow/fixture.h"
#include "tests/support/scale.h"

// The virtual page directory: a guest that reads its tables sees what it wrote, with the flags that
// real hardware would have set, under both policies and with flags carried over eagerly or lazily.

namespace gnomon::shadow_test {
namespace {

constexpr absl::string_view kPolicies[] = {"shadow",
                                           "shadow:unsync=off",
                                           "shadow:directory=full-trap",
                                           "shadow:directory=full-trap,flags=lazy",
                                           "shadow:directory=full-trap,flags=lazy,prefetch=64",
                                           "shadow:directory=full-trap,update=off",
                                           "vtlb",
                                           "agile",
                                           "native"};

// A to B is read back as A to B, never as A to C.
TEST(Directory, ReadsBackWhatWasWrittenWithTheFlags) {
  for (const absl::string_view spec : kPolicies) {
    SCOPED_TRACE(std::string(spec));
    Machine m(spec);
    m.map(0x1000, 0x5000, kUser | 0xe00);
    m.map(0x2000, 0x6000, kUser);
    m.map(0x3000, 0x7000, kUser);
    m.map(0x4000'0000, m.table_at(0x1000, 1).value(), kUser);
    m.map(0x4000'1000, m.table_at(0x1000, 2).value(), kUser);
    m.map(0x4000'2000, m.first_root().value(), kUser);
    const auto leaf = [&](uint64_t va) { return m.guest_load(0x4000'0000 + (va >> 12) * 8); };
    m.expect_mapped(0x1000, 0x5000);
    EXPECT_EQ(leaf(0x1000), 0x5000 | kUser | 0xe00 | kA);
    m.expect_mapped(0x1000, 0x5000, kWrite);
    m.expect_mapped(0x2000, 0x6000, kWrite);
    EXPECT_EQ(leaf(0x1000), 0x5000 | kUser | 0xe00 | kA | kD);
    EXPECT_EQ(leaf(0x2000), 0x6000 | kUsed);
    EXPECT_EQ(leaf(0x3000), 0x7000 | kUser);
    EXPECT_EQ(m.guest_load(0x4000'1000), m.table_at(0x1000, 1).value() | kUser | kA);
    EXPECT_EQ(m.guest_load(0x4000'2000), m.table_at(0x1000, 3).value() | kUser | kA);
    // Bytes of any size at any place.
    EXPECT_EQ(m.guest_load(0x4000'0008 + 1, 2), (0x5000 | kUsed | 0xe00) >> 8 & 0xffff);
    // The guest clears both flags and flushes; the next accesses set them again.
    m.guest_store(0x4000'0008, 0x5000 | kUser);
    m.guest_store(0x4000'0010, 0x6000 | kUser);
    m.invlpg(0x1000);
    m.invlpg(0x2000);
    EXPECT_EQ(leaf(0x1000), 0x5000 | kUser);
    m.expect_mapped(0x1000, 0x5000, kWrite);
    m.expect_mapped(0x2000, 0x6000);
    EXPECT_EQ(leaf(0x1000), 0x5000 | kUsed);
    EXPECT_EQ(leaf(0x2000), 0x6000 | kUser | kA);
    m.expect_sound();
  }
}

TEST(Directory, LoadsTrapOnlyUnderFullTrap) {
  for (const bool full : {false, true}) {
    Machine m(absl::StrCat("shadow:prefetch=0,flood=0,directory=", full ? "full-trap" : "write-trap"));
    m.map(0x1000, 0x5000, kUsed);
    const Gpa table = m.table_at(0x1000, 1);
    m.map(0x4000'0000, table.value(), kUsed);
    m.expect_mapped(0x1000, 0x5000);
    m.mark();
    for (int i = 0; i < 5; ++i) EXPECT_EQ(m.guest_load(0x4000'0008), 0x5000 | kUsed);
    EXPECT_EQ(m.since(Counter::kExitTableRead), full ? 5u : 0u);
    EXPECT_EQ(m.since(Counter::kDirectoryReads), full ? 5u : 0u);
    EXPECT_EQ(m.since(Counter::kHiddenFaults), full ? 0u : 1u);
    EXPECT_EQ(m.mappings().size(), full ? 1u : 2u);  // not mapped at all
    for (int i = 0; i < 5; ++i) m.guest_store(0x4000'0008, (0x5000 + (i << 12)) | kUsed);
    EXPECT_EQ(m.since(Counter::kExitTableWrite), full ? 5u : 1u);
    EXPECT_EQ(m.since(Counter::kDirectoryWrites), full ? 5u : 0u);
    EXPECT_EQ(m.since(Counter::kUnsync), full ? 0u : 1u);
    m.flush();
    m.expect_mapped(0x1000, 0x9000);
  }
}

TEST(Directory, LazyFlagsSaveTheSecondFault) {
  for (const bool lazy : {false, true}) {
    Machine m(
        absl::StrCat("shadow:prefetch=0,directory=full-trap,flags=", lazy ? "lazy" : "eager"));
    for (uint64_t i = 0; i < 10; ++i) m.map(i << 12, 0x5000 + (i << 12), kUser);
    m.mark();
    for (uint64_t i = 0; i < 10; ++i) m.expect_mapped(i << 12, 0x5000 + (i << 12));
    EXPECT_EQ(m.since(Counter::kHiddenFaults), 10u);
    for (uint64_t i = 0; i < 10; i += 2) m.expect_mapped(i << 12, 0x5000 + (i << 12), kWrite);
    EXPECT_EQ(m.since(Counter::kHiddenFaults), lazy ? 10u : 15u);
    // In memory the lazy flag is not set yet; to the guest it is.
    const Gpa table = m.table_at(0, 1);
    EXPECT_EQ(m.peek(table), 0x5000 | kUser | kA | (lazy ? 0 : kD));
    for (uint64_t i = 0; i < 10; ++i) {
      uint64_t value = 0;
      ASSERT_TRUE(m.mmu->read_physical(m.cpu(), Gpa(table.value() + i * 8), 8, value));
      EXPECT_EQ(value, (0x5000 + (i << 12)) | kUser | kA | (i % 2 == 0 ? kD : 0));
    }
  }
}

// The flag in a shadow entry is not lost, whatever makes the entry go.
TEST(Directory, LazyFlagsSurviveTheEntry) {
  const std::pair<absl::string_view, void (*)(Machine&)> ends[] = {
      {"drop_caches", [](Machine& m) { m.mmu->drop_caches(); }},
      {"remap", [](Machine& m) { ASSERT_TRUE(m.p2m.remap(Gpa(0x5000)).ok()); }},
      {"balloon", [](Machine& m) { ASSERT_TRUE(m.p2m.balloon(Gpa(0x5000)).ok()); }},
      {"dirty log", [](Machine& m) { m.p2m.start_dirty_log(Gpa(0), 16); }},
      {"table moved", [](Machine& m) { ASSERT_TRUE(m.p2m.remap(m.table_at(0x1000, 1)).ok()); }},
      {"table logged", [](Machine& m) { m.p2m.start_dirty_log(m.table_at(0x1000, 1), 1); }},
      {"page became a table",
       [](Machine& m) {
         m.store_pte(m.entry_at(0x40'0000, 2), 0x5000 | kUser);
         m.touch(0x40'0000);
       }},
      {"other rights", [](Machine& m) { m.set_wp(false), m.touch(0x1000), m.mmu->drop_caches(); }},
      {"neighbour written",
       [](Machine& m) { m.store(Gpa(m.entry_at(0x1000, 1).value() + 7), 0, 2); }},
  };
  for (const auto& [name, end] : ends) {
    SCOPED_TRACE(std::string(name));
    Machine m("shadow:prefetch=0,directory=full-trap,flags=lazy");
    m.map(0x1000, 0x5000, kUser);
    m.expect_mapped(0x1000, 0x5000);
    m.expect_mapped(0x1000, 0x5000, kWrite);
    EXPECT_EQ(m.pte(0x1000), 0x5000 | kUser | kA);
    end(m);
    uint64_t value = 0;
    ASSERT_TRUE(m.mmu->read_physical(m.cpu(), m.entry_at(0x1000, 1), 8, value));
    EXPECT_EQ(value, 0x5000 | kUsed);
  }
}

// The same seeded program under every policy: the guest's tables end the same, bit for bit.
TEST(Directory, TablesEndTheSameUnderEveryPolicy) {
  const auto run = [](absl::string_view spec, uint64_t seed) {
    Machine m(spec);
    Random random(seed);
    std::vector<Gpa> spaces{m.first_root(), m.new_table()};
    for (const Gpa space : spaces) {
      for (uint64_t i = 0; i < 32; ++i) m.map_in(space, i << 12, 0x5000 + (i << 12));
    }
    for (unsigned step = 0; step < 600; ++step) {
      const uint64_t i = random.below(32);
      const uint64_t frame = 5 + random.below(40);
      const Gpa space = m.root();
      switch (random.below(9)) {
        case 0:
          m.map_in(space, i << 12, frame << 12, random.below(4) == 0 ? kP | kU : kUser);
          m.invlpg(i << 12);
          break;
        case 1: m.switch_to(spaces[random.below(2)]); break;
        case 2:
          m.store_pte(m.entry_at(i << 12, 1, space),
                      m.peek(m.entry_at(i << 12, 1, space)) & ~(kA | kD));
          m.flush();
          break;
        default: m.touch(i << 12, random.below(2) != 0 ? kRead : kWrite);
      }
    }
    std::vector<uint64_t> tables;
    for (const Gpa space : spaces) {
      for (unsigned level = 1; level <= 4; ++level) {
        for (uint64_t i = 0; i < 64; ++i) {
          uint64_t value = 0;
          EXPECT_TRUE(m.mmu->read_physical(
              m.cpu(), Gpa(m.table_at(0, level, space).value() + i * 8), 8, value));
          tables.push_back(value);
        }
      }
    }
    return tables;
  };
  for (uint64_t seed = 1; seed <= by_scale(2u, 8u, 64u); ++seed) {
    const std::vector<uint64_t> want = run("native", seed);
    for (const absl::string_view spec : kPolicies) {
      EXPECT_EQ(run(spec, seed), want) << std::string(spec) << " seed " << seed;
    }
  }
}

TEST(Directory, LazyNeedsFullTrap) {
  auto host = HostMemory::create(4_MiB).value();
  P2m p2m(*host);
  EXPECT_FALSE(create_backend("shadow:flags=lazy", p2m).ok());
  EXPECT_FALSE(create_backend("shadow:prefetch=3", p2m).ok());
  EXPECT_FALSE(create_backend("shadow:prefetch=128", p2m).ok());
  EXPECT_TRUE(create_backend("shadow:directory=full-trap,flags=lazy", p2m).ok());
}

}  // namespace
}  // namespace gnomon::shadow_test

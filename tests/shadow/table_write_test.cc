// SPDX-License-Identifier: Apache-2.0
#include "gnomon/tlb/presets.h"
#include "gnomon/vcpu.h"
#include "tests/shadow/fixture.h"

// Guest stores to tracked tables: of any size, at any place, in every format.

namespace gnomon::shadow_test {
namespace {

TEST(WriteTracking, TableMappedAsDataIsReadOnly) {
  Machine m("shadow:unsync=off,prefetch=0");
  m.map(0x1000, 0x5000, kUsed);
  const Gpa table = m.table_at(0x1000, 1);
  m.map(0x2000, table.value(), kUsed);
  m.expect_mapped(0x2000, table.value(), kWrite);
  const Translation t = m.touch(0x2000, kWrite);
  EXPECT_TRUE(t.ok() && t.trapped && !t.cacheable) << to_string(t);
  EXPECT_THAT(m.mappings(), ElementsAre("2000>80003000 4K -ux"));
  // Loads need no exit.
  m.mark();
  EXPECT_EQ(m.guest_load(0x2000 + 8 * 2), table.value() | kUsed);
  EXPECT_EQ(m.since(Counter::kWalks), 1u);
  EXPECT_EQ(m.since(Counter::kExitPageFault) + m.since(Counter::kExitTableRead), 0u);
  // The guest gives itself a page through the mapping of its own table.
  m.p2m.back(Gpa(0x6000));
  m.guest_store(0x2000 + 8 * 3, 0x6000 | kUsed);
  EXPECT_EQ(m.since(Counter::kExitTableWrite), 1u);
  EXPECT_EQ(m.since(Counter::kTableWritesApplied), 1u);
  EXPECT_THAT(m.mappings(), ElementsAre("2000>80003000 4K -ux", "3000>6000 4K wux"));
  m.mark();
  m.expect_mapped(0x3000, 0x6000, kWrite);
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 0u);  // rebuilt at once
}

TEST(WriteTracking, UpdateOffDropsTheEntry) {
  Machine m("shadow:unsync=off,prefetch=0,update=off");
  m.map(0x1000, 0x5000, kUsed);
  m.map(0x2000, 0x6000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  m.expect_mapped(0x2000, 0x6000);
  m.mark();
  m.map(0x1000, 0x7000, kUsed);
  EXPECT_THAT(m.mappings(), ElementsAre("2000>6000 4K wux"));
  m.expect_mapped(0x1000, 0x7000);
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 1u);
}

TEST(WriteTracking, FrameNoLongerATableIsFree) {
  Machine m("shadow:flood=1");
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  const Gpa directory = m.table_at(0x1000, 2);
  m.mark();
  m.store_pte(Gpa(directory.value() + 64), 0x1234);
  EXPECT_EQ(m.since(Counter::kFlooded), 1u);
  EXPECT_EQ(m.since(Counter::kShadowPagesZapped), 1u);
  EXPECT_EQ(m.pages_of(directory), 0u);
  m.store_pte(Gpa(directory.value() + 72), 0x1234);
  EXPECT_EQ(m.since(Counter::kExitTableWrite), 1u);
  m.expect_mapped(0x1000, 0x5000);
}

TEST(Flood, ThresholdCountsTrappedWritesWithoutAWalkBetween) {
  for (const unsigned threshold : {0u, 1u, 3u}) {
    SCOPED_TRACE(threshold);
    Machine m(absl::StrCat("shadow:prefetch=0,flood=", threshold));
    m.map(0x1000, 0x5000, kUsed);
    m.map(0x2000, 0x6000, kUsed);
    m.expect_mapped(0x1000, 0x5000);
    const Gpa directory = m.table_at(0x1000, 2);
    m.mark();
    for (unsigned i = 1; i <= 5; ++i) {
      m.store_pte(Gpa(directory.value() + 8 * (10 + i)), 0);
      EXPECT_EQ(m.since(Counter::kFlooded), threshold != 0 && i >= threshold ? 1u : 0u);
    }
    EXPECT_EQ(m.pages_of(directory), threshold == 0 ? 1u : 0u);
    m.expect_mapped(0x1000, 0x5000);
    m.expect_mapped(0x2000, 0x6000);
  }
}

TEST(Flood, WalkResetsTheCount) {
  Machine m("shadow:prefetch=0,flood=3");
  for (unsigned i = 0; i < 64; ++i) m.map(0x1000 + (i << 12), 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  const Gpa directory = m.table_at(0x1000, 2);
  m.mark();
  for (unsigned i = 1; i < 20; ++i) {
    m.store_pte(Gpa(directory.value() + 8 * 10), 0);
    m.store_pte(Gpa(directory.value() + 8 * 11), 0);
    m.expect_mapped(0x1000 + (i << 12), 0x5000);  // a fault that walks through the directory
  }
  EXPECT_EQ(m.since(Counter::kFlooded), 0u);
  EXPECT_EQ(m.pages_of(directory), 1u);
  EXPECT_EQ(m.since(Counter::kExitTableWrite), 38u);
}

// A root that is flooded while it is in use is dropped and found again.
TEST(Flood, RootInUse) {
  Machine m("shadow:flood=2");
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  m.store_pte(Gpa(m.first_root().value() + 0x800), 0);
  m.store_pte(Gpa(m.first_root().value() + 0x808), 0);
  EXPECT_EQ(m.pages_of(m.first_root()), 0u);
  EXPECT_EQ(m.shadow().hardware_root(m.cpu()), Hpa());
  m.expect_mapped(0x1000, 0x5000);
  EXPECT_NE(m.shadow().hardware_root(m.cpu()), Hpa());
}

// A freed leaf table is cleared, or filled with data, whatever may be cached of it.
TEST(Flood, LeafTableThatTheGuestClears) {
  for (const char* spec : {"shadow:unsync=off,prefetch=0", "shadow:directory=full-trap,prefetch=0",
                           "shadow:directory=full-trap,flags=lazy,prefetch=0"}) {
    SCOPED_TRACE(spec);
    Machine m(spec);
    for (unsigned i = 0; i < 512; ++i) m.map(i << 12, 0x5000 + (i << 12), kUsed);
    for (unsigned i = 0; i < 512; ++i) m.expect_mapped(i << 12, 0x5000 + (i << 12));
    const Gpa table = m.table_at(0, 1);
    m.mark();
    for (unsigned i = 0; i < 512; ++i) {
      m.store_pte(Gpa(table.value() + 8 * i), 0);
      m.expect_sound();
    }
    EXPECT_EQ(m.since(Counter::kExitTableWrite), 3u);
    EXPECT_EQ(m.since(Counter::kFlooded), 1u);
    EXPECT_EQ(m.pages_of(table), 0u);
    EXPECT_THAT(m.mappings(), IsEmpty());
    m.map(0x7000, 0x9000, kUsed);
    m.expect_mapped(0x7000, 0x9000, kWrite);
  }
}

TEST(Flood, LeafTableFilledWithDataThroughAMapping) {
  Machine m("shadow:unsync=off,prefetch=0");
  m.map(0x1000, 0x5000, kUsed);
  const Gpa table = m.table_at(0x1000, 1);
  m.map(0x20'0000, table.value(), kUsed);
  m.expect_mapped(0x1000, 0x5000);
  m.expect_mapped(0x20'0000, table.value());
  m.map(0, 0, 0);
  m.mark();
  for (unsigned i = 0; i < 512; ++i) m.guest_store(0x20'0000 + 8 * i, 0x0101'0101'0101'0100 + i);
  EXPECT_EQ(m.since(Counter::kExitTableWrite), 2u);  // the first of three is the one above
  EXPECT_EQ(m.pages_of(table), 0u);
  EXPECT_THAT(m.mappings(), ElementsAre("200000>80003000 4K wux"));
}

// Page after page is mapped and then used: by the processor alone, since the entry is rebuilt at once.
TEST(Flood, UseOfWhatWasWrittenResetsTheCountOfALeaf) {
  Machine m("shadow:unsync=off,prefetch=0");
  m.map(0x1000, 0x5000, kUsed);
  m.expect_mapped(0x1000, 0x5000);
  m.mark();
  for (unsigned i = 2; i < 300; ++i) {
    m.map(i << 12, 0x5000, kUsed);
    m.expect_mapped(i << 12, 0x5000, i % 2 == 0 ? kRead : kWrite);
  }
  EXPECT_EQ(m.since(Counter::kFlooded), 0u);
  EXPECT_EQ(m.since(Counter::kHiddenFaults), 0u);
  EXPECT_EQ(m.since(Counter::kExitTableWrite), 298u);
  // Written and not used, three times in a row.
  for (unsigned i = 300; i < 303; ++i) m.map(i << 12, 0x5000, kUsed);
  EXPECT_EQ(m.since(Counter::kFlooded), 1u);
}

// The entry goes before the store, so that the store does not undo flags that the processor has set in it.
TEST(Flood, UseCountsUnderEveryPolicy) {
  for (const char* spec :
       {"shadow:unsync=off", "shadow:unsync=off,update=off", "shadow:directory=full-trap",
        "shadow:directory=full-trap,flags=lazy", "shadow:directory=full-trap,flags=lazy,update=off"}) {
    SCOPED_TRACE(spec);
    Machine m(spec);
    m.map(0x1000, 0x5000, kUsed);
    m.expect_mapped(0x1000, 0x5000);
    m.mark();
    for (unsigned i = 0; i < 30; ++i) {
      const uint64_t gpa = 0x5000 + (i % 3 << 12);
      m.map(0x1000, gpa, kUsed);
      m.invlpg(0x1000);
      m.expect_mapped(0x1000, gpa);
    }
    EXPECT_EQ(m.since(Counter::kExitTableWrite), 30u);
    EXPECT_EQ(m.since(Counter::kFlooded), 0u);
  }
}

// A store that takes nothing away leaves the TLB's translation as it is, and its use sets no flag.
TEST(Flood, UseThroughTheTlbCounts) {
  for (const bool grows : {false, true}) {
    SCOPED_TRACE(grows);
    Machine m("shadow:unsync=off,prefetch=0");
    const uint64_t first = grows ? kP | kU | kA | kD | kXD : kUsed;
    m.map(0x1000, 0x5000, first);
    Vcpu<Backend> vcpu(*m.mmu, m.p2m, VcpuParts::from(find_tlb_preset("skylake").value(), 1).value());
    ASSERT_TRUE(vcpu.write_cr3(m.first_root().value()));
    ASSERT_TRUE(vcpu.write_controls(m.cpu().controls.cr0, m.cpu().controls.cr4, efer::kLME | efer::kNXE));
    ASSERT_TRUE(vcpu.access(Gva(0x1000), kRead).ok());
    m.mark();
    const uint64_t walks = vcpu.counters()[Counter::kWalks];
    for (unsigned i = 0; i < 30; ++i) {
      m.map(0x1000, 0x5000, grows && i == 0 ? first | kW : grows ? kUsed : first);
      ASSERT_TRUE(vcpu.access(Gva(0x1000), kRead).ok());
    }
    EXPECT_EQ(m.since(Counter::kExitTableWrite), 30u);
    EXPECT_EQ(vcpu.counters()[Counter::kWalks], walks) << "the TLB answers";
    EXPECT_EQ(m.since(Counter::kFlooded), 0u);
    // What another vCPU still has in its TLB goes with the entry, and is no use of the next one.
    for (unsigned i = 0; i < 3; ++i) m.map(0x1000, 0x6000 + (i << 12), kUsed);
    EXPECT_EQ(m.since(Counter::kFlooded), 1u);
  }
}

TEST(Flood, StoresThatNoKernelMakesToATableEndIt) {
  struct Case {
    PagingMode mode;
    unsigned offset, size;
    bool ends;
  };
  constexpr PagingMode k64 = PagingMode::kLevel4, k32 = PagingMode::kLegacy32;
  for (const Case& c : {Case{k64, 0, 8, false}, Case{k64, 0, 4, false}, Case{k64, 4, 4, false},
                        Case{k64, 8, 1, false}, Case{k64, 9, 1, true}, Case{k64, 8, 2, true},
                        Case{k64, 8, 3, true}, Case{k64, 10, 4, false}, Case{k64, 6, 4, true},
                        Case{k64, 4, 8, true}, Case{k32, 4, 4, false}, Case{k32, 4, 1, false},
                        Case{k32, 5, 1, true}, Case{k32, 4, 8, true}, Case{k32, 2, 4, true}}) {
    for (const unsigned level : {1u, 2u}) {
      for (const bool counted : {true, false}) {
        SCOPED_TRACE(absl::StrCat("offset ", c.offset, " size ", c.size, " level ", level));
        Machine m(counted ? "shadow:unsync=off" : "shadow:unsync=off,flood=0", {.mode = c.mode});
        m.map(0x1000, 0x5000, kUsed);
        m.expect_mapped(0x1000, 0x5000);
        const Gpa table = m.table_at(0x1000, level);
        m.mark();
        m.store(Gpa(table.value() + 64 + c.offset), 0, c.size);
        EXPECT_EQ(m.since(Counter::kFlooded) != 0, counted && c.ends);
        EXPECT_EQ(m.pages_of(table) == 0, counted && c.ends);
        m.expect_mapped(0x1000, 0x5000);
      }
    }
  }
}

// Every size at every offset over three entries, of a table and of a directory, in each format.
// What the shadow then allows must be what the guest's bytes say.
struct WriteCase {
  absl::string_view name;
  PagingMode mode;
  unsigned level;
  absl::string_view options;
};

class EveryWrite : public ::testing::TestWithParam<WriteCase> {};

TEST_P(EveryWrite, LeavesWhatTheBytesSay) {
  const WriteCase& c = GetParam();
  const bool legacy = c.mode == PagingMode::kLegacy32;
  const unsigned entry_bytes = legacy ? 4 : 8;
  const uint64_t span = c.level == 1 ? 0x1000 : legacy ? 4_MiB : 2_MiB;
  // The first entries written, by index: at the borders of quadrants and halves too.
  const std::vector<unsigned> firsts = !legacy ? std::vector<unsigned>{0, 5, 509}
                                       : c.level == 1
                                           ? std::vector<unsigned>{0, 510, 511, 1021}
                                           : std::vector<unsigned>{0, 254, 255, 510, 511, 766, 767};
  uint64_t writes = 0;
  for (const unsigned first : firsts) {
    Machine m(absl::StrCat("shadow:", c.options), {.mode = c.mode});
    const uint64_t base = c.level == 1 ? 0x40'0000 : 0;
    std::vector<uint64_t> one, two;  // the two images that are mixed byte by byte
    for (unsigned i = 0; i < 3; ++i) {
      const uint64_t va = base + (first + i) * span;
      m.map(va, 0x5000 + (i << 12), kUsed);
      if (c.level == 1) {
        one.push_back(m.pte(va));
        two.push_back((0x1'5000 + (i << 12)) | kP | (i == 1 ? kU : kUser));
      } else {
        m.map(va + span / 2, 0x9000 + (i << 12), kUsed);  // the other 2M of a 4M
        const Gpa other = m.new_table();
        m.store_pte(other, (0x1'9000 + (i << 12)) | kUsed);
        one.push_back(m.pte(va, 2));
        two.push_back(other.value() | kP | kU);
      }
    }
    if (c.mode == PagingMode::kPae) m.flush();
    const auto check = [&] {
      for (unsigned i = 0; i < 3; ++i) {
        const uint64_t va = base + (first + i) * span;
        for (const Access access : {kRead, kWrite, kKernelFetch}) {
          m.expect_agrees(va, access);
          if (c.level == 2) m.expect_agrees(va + span / 2, access);
        }
      }
    };
    const Gpa at = m.entry_at(base + first * span, c.level);
    const unsigned bytes = 3 * entry_bytes;
    for (const unsigned size : {1u, 2u, 4u, 8u}) {
      for (unsigned offset = 0; offset + size <= bytes; ++offset) {
        for (unsigned i = 0; i < 3; ++i) m.store_pte(Gpa(at.value() + i * entry_bytes), one[i]);
        m.flush();
        check();
        uint8_t image[24];
        for (unsigned i = 0; i < 3; ++i) std::memcpy(image + i * entry_bytes, &two[i], entry_bytes);
        uint64_t value = 0;
        std::memcpy(&value, image + offset, size);
        m.store(Gpa(at.value() + offset), value, size);
        m.flush();
        check();
        ++writes;
        if (::testing::Test::HasFailure()) {
          FAIL() << "first " << first << " size " << size << " offset " << offset;
        }
      }
    }
    m.expect_sound();
    const bool traps = c.options != "unsync=on";
    EXPECT_EQ(m.total()[Counter::kUnsync] == 0, traps || c.level == 2);
  }
  RecordProperty("writes", static_cast<int>(writes));
}

INSTANTIATE_TEST_SUITE_P(
    Formats, EveryWrite,
    ::testing::Values(WriteCase{"Table64", PagingMode::kLevel4, 1, "unsync=off,flood=0"},
                      WriteCase{"Table64Flood", PagingMode::kLevel4, 1, "unsync=off,flood=3"},
                      WriteCase{"Table64Unsync", PagingMode::kLevel4, 1, "unsync=on"},
                      WriteCase{"Table64Drop", PagingMode::kLevel4, 1, "unsync=off,update=off,flood=0"},
                      WriteCase{"Directory64", PagingMode::kLevel4, 2, "flood=0"},
                      WriteCase{"TablePae", PagingMode::kPae, 1, "unsync=off,flood=0"},
                      WriteCase{"DirectoryPae", PagingMode::kPae, 2, "flood=0"},
                      WriteCase{"Table32", PagingMode::kLegacy32, 1, "unsync=off,flood=0"},
                      WriteCase{"Table32Unsync", PagingMode::kLegacy32, 1, "unsync=on"},
                      WriteCase{"Directory32", PagingMode::kLegacy32, 2, "flood=0"},
                      WriteCase{"Directory32Flood", PagingMode::kLegacy32, 2, "flood=3"}),
    [](const auto& i) { return std::string(i.param.name); });

// A 1024-entry directory is four pages of ours, a table two; each is made only when it is needed.
TEST(Quadrants, OfADirectoryAndHalvesOfATable) {
  Machine m("shadow:prefetch=0", {.mode = PagingMode::kLegacy32});
  std::vector<std::string> expected;
  for (uint64_t q = 0; q < 4; ++q) {
    for (const uint64_t half : {0x3000, 0x20'3000}) {
      const uint64_t va = q << 30 | half;
      const uint64_t gpa = 0x10'0000 + (q << 16) + (half >> 9);
      m.map(va, gpa & ~uint64_t{0xfff}, kUsed);
      expected.push_back(
          absl::StrCat(absl::Hex(va), ">", absl::Hex(gpa & ~uint64_t{0xfff}), " 4K wux"));
    }
  }
  for (uint64_t q = 0; q < 4; ++q) {
    EXPECT_EQ(m.pages_of(m.first_root()), q);
    EXPECT_TRUE(m.touch(q << 30 | 0x3000).ok());
    EXPECT_EQ(m.pages_of(m.table_at(q << 30, 1)), 1u);
    EXPECT_TRUE(m.touch(q << 30 | 0x20'3000).ok());
    EXPECT_EQ(m.pages_of(m.table_at(q << 30, 1)), 2u);
  }
  EXPECT_EQ(m.mappings(), expected);
  m.mark();
  m.unmap(0x8020'3000);
  m.flush();
  expected.erase(expected.begin() + 5);
  EXPECT_EQ(m.mappings(), expected);
  EXPECT_EQ(m.since(Counter::kSyncedPages), 2u);  // both halves of the frame
}

}  // namespace
}  // namespace gnomon::shadow_test

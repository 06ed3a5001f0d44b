// SPDX-License-Identifier: Apache-2.0
#include "tests/memory/p2m_fixture.h"

namespace gnomon {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(P2mEntryTest, RoundTripsEveryField) {
  for (const FrameState state : {FrameState::kAbsent, FrameState::kLazy, FrameState::kRam,
                                 FrameState::kBallooned, FrameState::kMmio}) {
    for (const PageSize size : {PageSize::k4K, PageSize::k2M, PageSize::k1G}) {
      for (int bits = 0; bits < 6; ++bits) {
        const bool rom = bits % 2, logged = bits / 2 == 1, dirty = bits / 2 == 2;
        const Hpa hpa(0x3fff'ffff'f000);
        const P2mEntry e = P2mEntry::make(state, hpa, size, rom).with_log(logged, dirty);
        EXPECT_EQ(e.state(), state);
        EXPECT_EQ(e.frame(), hpa);
        EXPECT_EQ(e.size(), size);
        EXPECT_EQ(e.rom(), rom);
        EXPECT_EQ(e.write_logged(), logged);
        EXPECT_EQ(e.dirty(), dirty);
        EXPECT_EQ(e.writable(), !rom && !logged);
        EXPECT_EQ(P2mEntry(e.raw()).raw(), e.raw());
        const P2mEntry moved = e.moved_to(FrameState::kRam, Hpa(0x5000), PageSize::k2M);
        EXPECT_EQ(moved.raw(), P2mEntry::make(FrameState::kRam, Hpa(0x5000), PageSize::k2M, rom)
                                   .with_log(logged, dirty)
                                   .raw());
      }
    }
  }
  EXPECT_EQ(P2mEntry().state(), FrameState::kAbsent);
}

TEST_F(P2mTest, AnEmptyMapHasNothing) {
  for (const uint64_t gpa : {uint64_t{0}, 4_GiB, ~uint64_t{0}}) {
    EXPECT_EQ(state(gpa), FrameState::kAbsent);
    EXPECT_EQ(p2m->frame_index(Gpa(gpa)), P2m::kNoIndex);
    EXPECT_EQ(back(gpa).state(), FrameState::kAbsent);
    EXPECT_EQ(p2m->ram_at(Gpa(gpa)), nullptr);
  }
  EXPECT_EQ(p2m->frame_capacity(), 0u);
}

TEST_F(P2mTest, SlotsAndMmioHaveSharpEdges) {
  add_slot(0x2000, 0x3000);
  ASSERT_TRUE(p2m->add_mmio(Gpa(0x5000), 0x1000).ok());
  EXPECT_EQ(state(0x1fff), FrameState::kAbsent);
  EXPECT_EQ(state(0x2000), FrameState::kLazy);
  EXPECT_EQ(state(0x4fff), FrameState::kLazy);
  EXPECT_EQ(state(0x5000), FrameState::kMmio);
  EXPECT_EQ(state(0x5fff), FrameState::kMmio);
  EXPECT_EQ(state(0x6000), FrameState::kAbsent);
  EXPECT_EQ(back(0x5000).state(), FrameState::kMmio);
  EXPECT_EQ(p2m->frame_index(Gpa(0x5000)), P2m::kNoIndex);
}

TEST_F(P2mTest, BadRangesAreRefused) {
  const uint64_t end = uint64_t{1} << 52;
  const struct {
    uint64_t base, bytes;
    const char* text;
  } kBad[] = {{0x1000, 0, "empty range at gpa:0x0000000000001000"},
              {0x1001, 0x1000, "not of whole 4K frames"},
              {0x1000, 0x1001, "0x1001 bytes"},
              {end, 0x1000, "beyond 2^52"},
              {end - 0x1000, 0x2000, "beyond 2^52"},
              {0x1000, ~uint64_t{0xfff}, "beyond 2^52"},
              {~uint64_t{0xfff}, 0x1000, "beyond 2^52"}};
  for (const auto& bad : kBad) {
    EXPECT_THAT(p2m->add_slot(Gpa(bad.base), bad.bytes),
                IsError(StatusCode::kInvalidArgument, bad.text));
    EXPECT_THAT(p2m->add_mmio(Gpa(bad.base), bad.bytes),
                IsError(StatusCode::kInvalidArgument, bad.text));
  }
  EXPECT_EQ(p2m->generation(), 0u);
  EXPECT_THAT(told, IsEmpty());
  EXPECT_TRUE(p2m->add_slot(Gpa(end - 0x1000), 0x1000).ok());
  EXPECT_EQ(state(end - 1), FrameState::kLazy);
  EXPECT_EQ(state(end), FrameState::kAbsent);
}

TEST_F(P2mTest, BadOptionsAreRefused) {
  for (const PageSize size : {PageSize::k4M, PageSize::k512G, static_cast<PageSize>(13)}) {
    EXPECT_THAT(p2m->add_slot(Gpa(0), 0x1000, options(size)),
                IsError(StatusCode::kInvalidArgument, "4K, 2M or 1G"));
  }
  SlotOptions o;
  o.fragmented_percent = 101;
  EXPECT_THAT(p2m->add_slot(Gpa(0), 0x1000, o), IsError(StatusCode::kInvalidArgument, "101"));
}

TEST_F(P2mTest, OverlapsAreRefusedAndBothRangesNamed) {
  add_slot(0x10000, 0x4000);
  ASSERT_TRUE(p2m->add_mmio(Gpa(0x20000), 0x4000).ok());
  what_was_told();
  // All ranges of up to six frames around each: refused exactly if they share a frame with it.
  for (const uint64_t taken : {0x10000, 0x20000}) {
    for (uint64_t base = taken - 0x6000; base < taken + 0x6000; base += 0x1000) {
      for (uint64_t bytes = 0x1000; bytes <= 0x6000; bytes += 0x1000) {
        if (base + bytes <= taken || base >= taken + 0x4000) continue;
        const std::string text =
            absl::StrFormat("[0x%x, 0x%x) overlaps the %s at [0x%x, 0x%x)", base, base + bytes,
                            taken == 0x10000 ? "slot" : "MMIO region", taken, taken + 0x4000);
        EXPECT_THAT(p2m->add_slot(Gpa(base), bytes), IsError(StatusCode::kAlreadyExists, text));
        EXPECT_THAT(p2m->add_mmio(Gpa(base), bytes), IsError(StatusCode::kAlreadyExists, text));
      }
    }
  }
  EXPECT_THAT(told, IsEmpty());
  add_slot(0xf000, 0x1000);
  add_slot(0x14000, 0x1000);
  EXPECT_TRUE(p2m->add_mmio(Gpa(0x1f000), 0x1000).ok());
}

TEST_F(P2mTest, SlotsAreVisitedInAddressOrder) {
  add_slot(0x30000, 0x1000);
  add_slot(0x10000, 0x2000);
  add_slot(0x12000, 0x3000);
  std::vector<std::pair<uint64_t, uint64_t>> slots;
  p2m->for_each_slot(
      [&](Gpa first, uint64_t frames) { slots.emplace_back(first.value(), frames); });
  EXPECT_THAT(slots, ElementsAre(testing::Pair(0x10000, 2), testing::Pair(0x12000, 3),
                                 testing::Pair(0x30000, 1)));
}

TEST_F(P2mTest, FrameNumbersAreDenseStableAndReused) {
  add_slot(0x30000, 0x2000);
  add_slot(0x10000, 0x3000);
  const auto number = [&](uint64_t gpa) { return p2m->frame_index(Gpa(gpa)); };
  EXPECT_EQ(number(0x30000), 0u);
  EXPECT_EQ(number(0x31fff), 1u);
  EXPECT_EQ(number(0x10000), 2u);
  EXPECT_EQ(number(0x12000), 4u);
  EXPECT_EQ(p2m->frame_capacity(), 5u);
  for (uint32_t i = 0; i < 5; ++i) EXPECT_EQ(p2m->frame_index(p2m->frame_at(i)), i);
  EXPECT_EQ(p2m->frame_at(4), Gpa(0x12000));

  store(0x30000, 7);
  ASSERT_TRUE(p2m->remove_slot(Gpa(0x30000)).ok());
  EXPECT_EQ(number(0x10000), 2u) << "others keep theirs";
  add_slot(0x50000, 0x3000);
  EXPECT_EQ(number(0x50000), 5u) << "the gap is too small";
  add_slot(0x60000, 0x2000);  // exactly fills it
  EXPECT_EQ(number(0x60000), 0u);
  EXPECT_EQ(state(0x60000), FrameState::kLazy) << "nothing of the old slot is left";
  EXPECT_EQ(p2m->frame_capacity(), 8u);
}

TEST_F(P2mTest, AddingAndRemovingForEverDoesNotRunOut) {
  for (int i = 0; i < 100; ++i) {
    add_slot(0, 32_GiB);
    ASSERT_TRUE(back(31_GiB).is_ram());
    ASSERT_TRUE(p2m->remove_slot(Gpa(0)).ok());
  }
  EXPECT_EQ(p2m->frame_capacity(), 8u << 20);
  EXPECT_EQ(host->free_bytes(), host->bytes());
}

TEST_F(P2mTest, MoreThan64GiBAreRefused) {
  add_slot(0, 64_GiB - 4_KiB);
  EXPECT_THAT(p2m->add_slot(Gpa(128_GiB), 8_KiB),
              IsError(StatusCode::kResourceExhausted, "[0x2000000000, 0x2000002000)"));
  add_slot(128_GiB, 4_KiB);
  EXPECT_EQ(p2m->frame_index(Gpa(128_GiB)), P2m::kMaxFrames - 1);
  EXPECT_TRUE(back(128_GiB).is_ram());
  EXPECT_THAT(p2m->add_slot(Gpa(256_GiB), uint64_t{1} << 51),
              IsError(StatusCode::kResourceExhausted, "no numbers left"));
}

TEST_F(P2mTest, ListenersHearOfSlotsBeforeTheyExist) {
  ASSERT_TRUE(p2m->add_slot(Gpa(0x200000), 0x3000).ok());
  EXPECT_THAT(told, ElementsAre("appeared 0x200+3"));
  EXPECT_EQ(seen.back().state(), FrameState::kAbsent);
  ASSERT_TRUE(p2m->add_mmio(Gpa(0x300000), 0x1000).ok());
  EXPECT_THAT(told, ElementsAre("appeared 0x200+3", "appeared 0x300+1"));
  EXPECT_EQ(seen.back().state(), FrameState::kAbsent);
  store(0x200000, 1);
  what_was_told();
  ASSERT_TRUE(p2m->remove_slot(Gpa(0x200000)).ok());
  EXPECT_EQ(seen.at(0).state(), FrameState::kRam);
  EXPECT_THAT(what_was_told(), ElementsAre("removed 0x200+3"));
}

TEST_F(P2mTest, EachListenerIsToldInOrderUntilItLeaves) {
  struct Other : P2mListener {
    void before_p2m_change(Gpa, uint64_t, Change) override { log->push_back("other"); }
    std::vector<std::string>* log;
  } other;
  other.log = &told;
  p2m->add_listener(&other);
  ASSERT_TRUE(p2m->add_mmio(Gpa(0), 0x1000).ok());
  EXPECT_THAT(what_was_told(), ElementsAre("appeared 0x0+1", "other"));
  p2m->remove_listener(this);
  ASSERT_TRUE(p2m->add_mmio(Gpa(0x1000), 0x1000).ok());
  EXPECT_THAT(what_was_told(), ElementsAre("other"));
  p2m->remove_listener(this);  // not there: nothing happens
  p2m->remove_listener(&other);
  ASSERT_TRUE(p2m->add_mmio(Gpa(0x2000), 0x1000).ok());
  EXPECT_THAT(told, IsEmpty());
}

TEST_F(P2mTest, GenerationChangesWithSlotsAndMmioOnly) {
  add_slot(0, 2_MiB);
  EXPECT_EQ(p2m->generation(), 1u);
  ASSERT_TRUE(p2m->add_mmio(Gpa(4_MiB), 0x1000).ok());
  EXPECT_EQ(p2m->generation(), 2u);
  back(0);
  EXPECT_TRUE(p2m->remap(Gpa(0)).ok());
  EXPECT_TRUE(p2m->balloon(Gpa(0)).ok());
  EXPECT_FALSE(p2m->add_mmio(Gpa(0), 0x1000).ok());
  EXPECT_EQ(p2m->generation(), 2u);
  EXPECT_TRUE(p2m->remove_slot(Gpa(0)).ok());
  EXPECT_EQ(p2m->generation(), 3u);
}

TEST_F(P2mTest, MmioRegionsGoWholeAndAreTold) {
  add_slot(0, 0x1000);
  ASSERT_TRUE(p2m->add_mmio(Gpa(0x1000), 0x3000).ok());
  ASSERT_TRUE(p2m->add_mmio(Gpa(0x4000), 0x1000).ok());
  const uint32_t before = p2m->generation();
  for (const uint64_t base : {0x0, 0x2000, 0x5000}) {
    EXPECT_THAT(p2m->remove_mmio(Gpa(base)),
                IsError(StatusCode::kNotFound, "no MMIO region starts at gpa:0x000000000000"));
  }
  EXPECT_EQ(p2m->generation(), before);
  told.clear();
  ASSERT_TRUE(p2m->remove_mmio(Gpa(0x1000)).ok());
  EXPECT_EQ(told.size(), 1u);
  EXPECT_EQ(p2m->generation(), before + 1);
  EXPECT_EQ(state(0), FrameState::kLazy);
  EXPECT_EQ(state(0x1000), FrameState::kAbsent);
  EXPECT_EQ(state(0x3fff), FrameState::kAbsent);
  EXPECT_EQ(state(0x4000), FrameState::kMmio);
  add_slot(0x2000, 0x2000);
  EXPECT_EQ(state(0x2000), FrameState::kLazy);
}

TEST_F(P2mTest, RemovingASlotFreesItsFrames) {
  start(8_MiB);
  add_slot(0, 6_MiB, options(PageSize::k2M));
  back(0);
  back(2_MiB);
  ASSERT_TRUE(p2m->balloon(Gpa(2_MiB + 0x5000)).ok());
  EXPECT_THAT(p2m->remove_slot(Gpa(0x1000)),
              IsError(StatusCode::kNotFound, "gpa:0x0000000000001000"));
  ASSERT_TRUE(p2m->remove_slot(Gpa(0)).ok());
  EXPECT_EQ(host->free_bytes(), 8_MiB);
  EXPECT_EQ(state(0), FrameState::kAbsent);
  EXPECT_THAT(p2m->remove_slot(Gpa(0)), IsError(StatusCode::kNotFound, "gpa:0x0000000000000000"));
  add_slot(0, 8_MiB, options(PageSize::k2M));
  EXPECT_TRUE(back(2_MiB + 0x5000).is_ram());
}

TEST_F(P2mTest, DestructionFreesAllFrames) {
  add_slot(0, 6_MiB, options(PageSize::k2M));
  add_slot(1_GiB, 64_KiB);
  back(4_MiB);
  back(1_GiB + 0x3000);
  EXPECT_EQ(host->free_bytes(), 14_MiB - 4_KiB);
  p2m.reset();
  EXPECT_EQ(host->free_bytes(), 16_MiB);
}

TEST_F(P2mTest, TwoMachinesShareAHost) {
  P2m second(*host);
  add_slot(0, 1_MiB);
  ASSERT_TRUE(second.add_slot(Gpa(0), 1_MiB).ok());
  for (uint64_t gpa = 0; gpa < 1_MiB; gpa += 4_KiB) {
    store(gpa, gpa + 1);
    ASSERT_TRUE(second.back(Gpa(gpa)).is_ram());
    *second.ram_at(Gpa(gpa)) = 0xff;
  }
  for (uint64_t gpa = 0; gpa < 1_MiB; gpa += 4_KiB) EXPECT_EQ(load(gpa), gpa + 1);
}

TEST_F(P2mTest, StatesHaveNames) {
  EXPECT_EQ(name_of(FrameState::kAbsent), "absent");
  EXPECT_EQ(name_of(FrameState::kLazy), "lazy");
  EXPECT_EQ(name_of(FrameState::kRam), "ram");
  EXPECT_EQ(name_of(FrameState::kBallooned), "ballooned");
  EXPECT_EQ(name_of(FrameState::kMmio), "mmio");
  EXPECT_EQ(name_of(static_cast<FrameState>(7)), "?");
}

}  // namespace
}  // namespace gnomon

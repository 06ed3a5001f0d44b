// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/replay_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gnomon/x86/format_long.h"

namespace gnomon {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kPage = 4096;

std::unique_ptr<ReplayMachine> machine(const ReplayOptions& options) {
  auto m = ReplayMachine::create(options);
  EXPECT_TRUE(m.ok()) << m.status();
  return m.ok() ? *std::move(m) : nullptr;
}

ReplayOptions native(std::string tlb) {
  ReplayOptions o;
  o.tlb = std::move(tlb);
  return o;
}

/// `op` at each of `pages` pages from `base`, `rounds` times over.
std::vector<Reference> touch(uint64_t base, uint64_t pages, AccessOp op, int rounds = 1) {
  std::vector<Reference> references;
  for (int r = 0; r < rounds; ++r) {
    for (uint64_t i = 0; i < pages; ++i) {
      references.push_back({Gva(base + i * kPage), op, references.size() + 1});
    }
  }
  return references;
}

uint64_t tables_for(uint64_t pages) { return 1 + 1 + 1 + (pages + 511) / 512; }

class SequentialTouch : public ::testing::TestWithParam<uint64_t> {};

// Each page faults once; the walk that faults and the one that is made again both count, without a
// TLB.
TEST_P(SequentialTouch, CostsWhatArithmeticSays) {
  const uint64_t pages = GetParam();
  constexpr int kRounds = 3;
  const auto m = machine(native("none"));
  const std::vector<Reference> references = touch(0x4000'0000, pages, AccessOp::kWrite, kRounds);
  ASSERT_TRUE(m->run(references).ok());

  const Counters c = m->counters();
  const uint64_t walks = pages * kRounds + pages;
  EXPECT_EQ(c[Counter::kAccesses], walks);
  EXPECT_EQ(c[Counter::kTlbMisses], walks);
  EXPECT_EQ(c[Counter::kWalks], walks);
  EXPECT_EQ(c[Counter::kGuestFaults], pages);
  EXPECT_EQ(c.exits(), 0u);
  // The first walk of each new table stops one level above where the entry is missing.
  const uint64_t leaf_tables = (pages + 511) / 512;
  EXPECT_EQ(c[Counter::kWalkGuestL4], walks);
  EXPECT_EQ(c[Counter::kWalkGuestL3], walks - 1);
  EXPECT_EQ(c[Counter::kWalkGuestL2], walks - 1);
  EXPECT_EQ(c[Counter::kWalkGuestL1], walks - leaf_tables);

  const GuestStats g = m->guest_stats();
  EXPECT_EQ(g.pages_mapped, pages);
  EXPECT_EQ(g.rights_added, 0u);
  EXPECT_EQ(g.tables, tables_for(pages));
  EXPECT_EQ(g.entry_stores, pages + tables_for(pages) - 1);
  EXPECT_EQ(g.clearing_stores,
            512 * (tables_for(pages) - 1));  // the root was cleared while booting
  EXPECT_EQ(c[Counter::kTableWrites], g.entry_stores + g.clearing_stores);
  EXPECT_EQ(c[Counter::kTableReads], 4 * pages);
  EXPECT_EQ(m->guest_frames(), 1 + pages + tables_for(pages));
}

INSTANTIATE_TEST_SUITE_P(Pages, SequentialTouch, ::testing::Values(1, 2, 511, 512, 513, 3000));

TEST(ReplayMachine, ATlbThatHoldsAllPagesMissesOnlyAtFirst) {
  const auto m = machine(native("skylake"));
  constexpr uint64_t kPages = 32;
  ASSERT_TRUE(m->run(touch(0x1000'0000, kPages, AccessOp::kRead, 100)).ok());
  const Counters c = m->counters();
  EXPECT_EQ(c[Counter::kTlbMisses], 2 * kPages);  // the access that faults, and its repetition
  EXPECT_EQ(c[Counter::kTlbHitsL1], 99 * kPages);
}

TEST(ReplayMachine, APageGetsRightsAsTheProgramNeedsThem) {
  using enum AccessOp;
  struct Case {
    std::vector<AccessOp> ops;
    uint64_t added;
  };
  const Case kCases[] = {
      {{kRead, kWrite, kRead}, 0},   {{kWrite, kFetch, kFetch}, 1}, {{kFetch, kRead, kFetch}, 0},
      {{kFetch, kWrite, kFetch}, 1}, {{kRead, kFetch, kWrite}, 1},
  };
  for (const absl::string_view tlb : {"none", "zen4"}) {
    for (const Case& test : kCases) {
      const auto m = machine(native(std::string(tlb)));
      std::vector<Reference> references;
      for (const AccessOp op : test.ops) references.push_back({Gva(0x7000), op, 1});
      ASSERT_TRUE(m->run(references).ok());
      EXPECT_EQ(m->guest_stats().pages_mapped, 1u);
      EXPECT_EQ(m->guest_stats().rights_added, test.added);
      EXPECT_EQ(m->counters()[Counter::kGuestFaults], 1 + test.added);
    }
  }
}

TEST(ReplayMachine, ProcessesHaveTheirOwnPagesAndTakeTurns) {
  ReplayOptions o = native("zen4");
  o.processes = 3;
  o.slice = 10;
  const auto m = machine(o);
  ASSERT_TRUE(m->run(touch(0x1000'0000, 25, AccessOp::kWrite)).ok());
  EXPECT_EQ(m->guest_stats().pages_mapped, 75u);
  EXPECT_EQ(m->guest_stats().tables, 3 * tables_for(25));
  // Three slices; the first process is already there at first.
  EXPECT_EQ(m->counters()[Counter::kCr3Loads], 8u);
}

TEST(ReplayMachine, CountsFromTheEndOfWarmUp) {
  const auto m = machine(native("none"));
  ASSERT_TRUE(m->run(touch(0x1000'0000, 100, AccessOp::kRead)).ok());
  m->start_measuring();
  EXPECT_EQ(m->counters()[Counter::kAccesses], 0u);
  ASSERT_TRUE(m->run(touch(0x1000'0000, 100, AccessOp::kRead)).ok());
  EXPECT_EQ(m->counters()[Counter::kAccesses], 100u);
  EXPECT_EQ(m->counters()[Counter::kGuestFaults], 0u);
  EXPECT_EQ(m->guest_stats().pages_mapped, 0u);
  EXPECT_EQ(m->guest_stats().tables, tables_for(100));
}

TEST(ReplayMachine, SaysWhichRecordTookTheLastPage) {
  ReplayOptions o = native("zen4");
  o.memory_bytes = 64 * kPage;
  const auto m = machine(o);
  // Frame 0 is never used; four tables.
  const absl::Status s = m->run(touch(0x1000'0000, 60, AccessOp::kWrite));
  EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(s.message(), "native: record 60 (gva:0x000000001003b000): guest out of memory");
  EXPECT_EQ(m->guest_frames(), 64u);
}

TEST(ReplayMachine, RefusesWhatItDoesNotKnow) {
  ReplayOptions o = native("zen4");
  o.backend = "nonsense";
  EXPECT_EQ(ReplayMachine::create(o).status().code(), absl::StatusCode::kInvalidArgument);
  o = native("nonsense");
  EXPECT_EQ(ReplayMachine::create(o).status().code(), absl::StatusCode::kInvalidArgument);
  o = native("zen4");
  o.memory_bytes = kPage;
  EXPECT_EQ(ReplayMachine::create(o).status().code(), absl::StatusCode::kResourceExhausted);
  o.memory_bytes = 4 * kPage;
  o.processes = 10;
  EXPECT_EQ(ReplayMachine::create(o).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(ReplayMachine, AnAddressThatIsNotCanonicalIsAnErrorNotALoop) {
  const auto m = machine(native("zen4"));
  const std::vector<Reference> references = {{Gva(uint64_t{1} << 60), AccessOp::kRead, 1}};
  EXPECT_EQ(m->run(references).code(), absl::StatusCode::kInternal);
}

/// Pages of several tables, with all three operations, chosen by a seeded generator.
std::vector<Reference> mixed_references(uint64_t seed, size_t count) {
  const auto next = [&seed] {
    uint64_t z = (seed += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  };
  constexpr uint64_t kRegions[] = {0x40'0000, 0x7fff'ff00'0000, 0x1'0000'0000,
                                   0xffff'ffff'ff60'0000};
  std::vector<Reference> references;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t r = next();
    const uint64_t page = r >> 8 & (r & 1 ? 0x3f : 0x3ff);
    references.push_back(
        {Gva((kRegions[r >> 4 & 3] & ~0x3f'ffffull) + page * kPage + (r >> 32 & 0xff8)),
         static_cast<AccessOp>((r >> 20) % 3), i + 1});
  }
  return references;
}

TEST(CompareGuests, EveryBackendLeavesTheSameGuest) {
  const std::vector<Reference> references = mixed_references(7, 40'000);
  for (const unsigned processes : {1u, 3u}) {
    ReplayOptions o = native("tiny");
    o.memory_bytes = uint64_t{256} << 20;
    o.move_data = true;
    o.processes = processes;
    o.slice = 1000;
    const auto reference = machine(o);
    ASSERT_TRUE(reference->run(references).ok());
    for (const BackendInfo& backend : backends()) {
      for (const PageSize host_page : {PageSize::k4K, PageSize::k2M}) {
        o.backend = std::string(backend.name);
        o.host_page = host_page;
        const auto m = machine(o);
        ASSERT_TRUE(m->run(references).ok()) << backend.name;
        EXPECT_THAT(compare_guests(*reference, *m), IsEmpty()) << backend.name;
        EXPECT_THAT(m->backend().audit(), IsEmpty()) << backend.name;
        // What the guest itself did is not the backend's to change.
        for (const Counter c : {Counter::kAccesses, Counter::kGuestFaults, Counter::kCr3Loads,
                                Counter::kInvlpgs, Counter::kTableWrites, Counter::kTableReads}) {
          EXPECT_EQ(m->counters()[c], reference->counters()[c])
              << backend.name << ": " << info(c).name;
        }
      }
    }
  }
}

TEST(CompareGuests, FindsADifference) {
  ReplayOptions o = native("zen4");
  o.move_data = true;
  const auto a = machine(o);
  const auto b = machine(o);
  const std::vector<Reference> references = touch(0x1000'0000, 10, AccessOp::kWrite);
  ASSERT_TRUE(a->run(references).ok());
  ASSERT_TRUE(b->run(references).ok());
  ASSERT_THAT(compare_guests(*a, *b), IsEmpty());
  uint8_t* byte = b->p2m().ram_at(Gpa(7 * kPage + 0x123));
  ASSERT_NE(byte, nullptr);
  *byte ^= 1;
  EXPECT_THAT(compare_guests(*a, *b), HasSubstr("gpa:0x0000000000007120 holds"));
  *byte ^= 1;
  ASSERT_TRUE(b->run(touch(0x1000'0000, 1, AccessOp::kRead)).ok());
  EXPECT_THAT(compare_guests(*a, *b), HasSubstr("loads saw other data"));
}

}  // namespace
}  // namespace gnomon

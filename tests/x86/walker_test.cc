// SPDX-License-Identifier: Apache-2.0
#include "gnomon/x86/walker.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <vector>

#include "gnomon/x86/format_long.h"
#include "gnomon/x86/format_pae.h"

// The generic walker against a table memory that the test controls entry by entry.

namespace gnomon {
namespace {

constexpr uint64_t kPWU = 7;
constexpr Gva kAddress{0x0000'0040'8060'1123};
constexpr uint64_t kTable4 = 0x4000, kTable3 = 0x3000, kTable2 = 0x2000, kTable1 = 0x1000;
constexpr uint64_t kPage = 0x77000;

/// Entries by address; a log of what the walk did; and refusals and lost races on demand.
struct FakeTables {
  using Address = Gpa;
  struct Ref {
    FakeTables* tables;
    Gpa at;
  };

  template <class Entry>
  bool read(Gpa at, unsigned level, Ref& ref, uint64_t& value) {
    ref = {this, at};
    reads.push_back(level);
    if (at == refuse_read) return false;
    value = entries[at];
    return true;
  }
  bool prepare_write(Ref&, Gpa at, unsigned level) {
    prepared.push_back(level);
    return at != refuse_write;
  }
  template <class Entry>
  static bool exchange(Ref& ref, uint64_t expected, uint64_t desired) {
    FakeTables& t = *ref.tables;
    if (t.before_exchange) std::exchange(t.before_exchange, nullptr)(ref.at);
    uint64_t& now = t.entries[ref.at];
    if (now != expected) return false;
    now = desired;
    return true;
  }

  std::map<Gpa, uint64_t> entries;
  std::vector<unsigned> reads, prepared;
  Gpa refuse_read{~uint64_t{0}}, refuse_write{~uint64_t{0}};
  std::function<void(Gpa)> before_exchange;  ///< called once, then forgotten
};

class WalkerTest : public testing::Test {
 protected:
  WalkerTest() {
    Controls c;
    c.cr0 = cr0::kPE | cr0::kPG | cr0::kWP;
    c.cr4 = cr4::kPAE;
    c.efer = efer::kLME | efer::kLMA | efer::kNXE;
    rules = derive_rules(c, CpuModel{});
    entry(4) = kTable3 | kPWU;
    entry(3) = kTable2 | kPWU;
    entry(2) = kTable1 | kPWU;
    entry(1) = kPage | kPWU;
  }

  static Gpa at(unsigned level) {
    constexpr uint64_t kBase[] = {0, kTable1, kTable2, kTable3, kTable4};
    return Gpa(kBase[level] + 8 * Long4::index(kAddress, level));
  }
  uint64_t& entry(unsigned level) { return memory.entries[at(level)]; }
  Walk<Gpa> run(Access access = {AccessOp::kRead, Privilege::kUser}) {
    memory.reads.clear();
    return walk<Long4>(memory, WalkStart<Gpa>{4, Gpa(kTable4)}, kAddress, access, rules);
  }

  FakeTables memory;
  PagingRules rules;
};

TEST_F(WalkerTest, ReadsFromTheTopAndReportsThePath) {
  const Walk<Gpa> w = run({AccessOp::kWrite, Privilege::kUser});
  ASSERT_TRUE(w.ok());
  EXPECT_EQ(memory.reads, (std::vector<unsigned>{4, 3, 2, 1}));
  EXPECT_EQ(w.references(), 4u);
  EXPECT_EQ(w.level, 1);
  EXPECT_EQ(w.address, Gpa(kPage + 0x123));
  EXPECT_EQ(w.size, PageSize::k4K);
  EXPECT_EQ(w.rights, kAllRights);
  EXPECT_TRUE(w.dirty);
  for (unsigned level = 2; level <= 4; ++level) {
    EXPECT_EQ(entry(level) & 0x60, pte::kAccessed) << level;
    EXPECT_EQ(w.entry[level], entry(level)) << level;
  }
  EXPECT_EQ(entry(1) & 0x60, pte::kAccessed | pte::kDirty);
  EXPECT_EQ(w.entry[1], entry(1));
}

// Presence comes before reserved bits in one entry, and an upper entry before a lower one.
TEST_F(WalkerTest, TheFirstWrongEntryDecides) {
  for (unsigned upper = 4; upper >= 1; --upper) {
    for (unsigned lower = upper; lower >= 1; --lower) {
      for (const bool upper_absent : {true, false}) {
        const FakeTables fresh = memory;
        entry(lower) = 0;
        entry(upper) = bit_range(51, 51) | (upper_absent ? 0 : entry(upper) | 1);
        const Walk<Gpa> w = run();
        ASSERT_EQ(w.status, WalkStatus::kFault);
        EXPECT_EQ(w.level, upper);
        EXPECT_EQ(w.error_code, upper_absent ? pf::kUser : pf::kUser | pf::kPresent | pf::kReserved);
        EXPECT_EQ(memory.reads.size(), 5 - upper);
        memory = fresh;
      }
    }
  }
}

// Rights come last: a reserved bit below beats a missing right above.
TEST_F(WalkerTest, ReservedBitBelowBeatsRightsAbove) {
  entry(4) &= ~uint64_t{pte::kUser};
  EXPECT_EQ(run().error_code, pf::kUser | pf::kPresent);
  EXPECT_EQ(run().level, 1);
  entry(1) |= uint64_t{1} << 51;
  EXPECT_EQ(run().error_code, pf::kUser | pf::kPresent | pf::kReserved);
  entry(1) = 0;
  EXPECT_EQ(run().error_code, pf::kUser);
}

TEST_F(WalkerTest, RightsAreTheAndOfAllLevels) {
  for (unsigned level = 1; level <= 4; ++level) {
    for (const uint64_t bit : {pte::kWritable, pte::kUser, pte::kNoExecute}) {
      const uint64_t before = entry(level);
      entry(level) ^= bit;
      const Walk<Gpa> w = run({AccessOp::kRead, Privilege::kSupervisor});
      ASSERT_TRUE(w.ok());
      const Rights lost = bit == pte::kWritable ? kRightWrite : bit == pte::kUser ? kRightUser : kRightExec;
      EXPECT_EQ(w.rights, kAllRights & ~lost);
      entry(level) = before;
    }
  }
}

TEST_F(WalkerTest, AccessedBeforeFaultMarksThePathOnly) {
  for (const bool before_fault : {true, false}) {
    rules.accessed_before_fault = before_fault;
    for (unsigned level = 2; level <= 4; ++level) entry(level) &= ~uint64_t{pte::kAccessed};
    entry(1) = kPage | 3;  // supervisor
    EXPECT_EQ(run().status, WalkStatus::kFault);
    for (unsigned level = 2; level <= 4; ++level) {
      EXPECT_EQ((entry(level) & pte::kAccessed) != 0, before_fault) << level;
    }
    EXPECT_EQ(entry(1), kPage | 3);
  }
}

TEST_F(WalkerTest, FlagsAlreadySetAreNotWritten) {
  EXPECT_TRUE(run({AccessOp::kWrite, Privilege::kUser}).ok());
  memory.prepared.clear();
  EXPECT_TRUE(run({AccessOp::kWrite, Privilege::kUser}).ok());
  EXPECT_TRUE(run().ok());
  EXPECT_TRUE(memory.prepared.empty());
}

// Between the read of an entry and its update another processor rewrites it: the walk starts again and
// uses the new entry, at every level.
TEST_F(WalkerTest, LostExchangeRestartsTheWalk) {
  for (const bool before_fault : {true, false}) {
    for (unsigned level = 1; level <= 4; ++level) {
      const FakeTables fresh = memory;
      rules.accessed_before_fault = before_fault;
      for (unsigned other = 1; other <= 4; ++other) {
        if (other != level) entry(other) |= pte::kAccessed;
      }
      memory.before_exchange = [&](Gpa where) {
        EXPECT_EQ(where, at(level));
        entry(level) &= ~uint64_t{pte::kWritable};
      };
      const Walk<Gpa> w = run();
      ASSERT_TRUE(w.ok());
      EXPECT_EQ(w.rights, kRightUser | kRightExec) << level;
      EXPECT_NE(entry(level) & pte::kAccessed, 0u);
      const size_t first_try = before_fault && level > 1 ? 5 - level : 4;
      EXPECT_EQ(memory.reads.size(), first_try + 4) << level;
      memory = fresh;
    }
  }
}

TEST_F(WalkerTest, EntryTakenAwayDuringTheWalkFaults) {
  memory.before_exchange = [&](Gpa) { entry(1) = 0; };
  entry(4) |= pte::kAccessed;
  entry(3) |= pte::kAccessed;
  entry(2) |= pte::kAccessed;
  const Walk<Gpa> w = run({AccessOp::kWrite, Privilege::kUser});
  EXPECT_EQ(w.status, WalkStatus::kFault);
  EXPECT_EQ(w.error_code, pf::kUser | pf::kWrite);
  EXPECT_EQ(entry(1), 0u);
}

TEST_F(WalkerTest, ProbeChangesNothing) {
  const auto before = memory.entries;
  for (const AccessOp op : {AccessOp::kRead, AccessOp::kWrite, AccessOp::kFetch}) {
    const Walk<Gpa> w = run({op, Privilege::kUser, /*probe=*/true});
    EXPECT_TRUE(w.ok());
    EXPECT_FALSE(w.dirty);
  }
  EXPECT_EQ(memory.entries, before);  // it may ask whether a flag could be set, no more
  memory.refuse_write = at(1);
  EXPECT_EQ(run({AccessOp::kRead, Privilege::kUser, /*probe=*/true}).status, WalkStatus::kNoMemory);
}

TEST_F(WalkerTest, RefusalsNameTheirLevel) {
  for (unsigned level = 1; level <= 4; ++level) {
    const FakeTables fresh = memory;
    memory.refuse_read = at(level);
    Walk<Gpa> w = run();
    EXPECT_EQ(w.status, WalkStatus::kNoMemory);
    EXPECT_EQ(w.level, level);
    memory = fresh;
    memory.refuse_write = at(level);
    w = run();
    EXPECT_EQ(w.status, WalkStatus::kNoMemory);
    EXPECT_EQ(w.level, level);
    EXPECT_EQ(entry(level), fresh.entries.at(at(level)));
    // Without an update there is nothing to refuse.
    entry(level) |= pte::kAccessed;
    EXPECT_TRUE(run().ok());
    memory = fresh;
  }
}

TEST_F(WalkerTest, LargePagesEndTheWalk) {
  entry(2) = 0x4000'0000 | kPWU | pte::kLarge | pte::kGlobal | uint64_t{5} << 59;
  rules.pge = true;
  Walk<Gpa> w = run();
  ASSERT_TRUE(w.ok());
  EXPECT_EQ(memory.reads, (std::vector<unsigned>{4, 3, 2}));
  EXPECT_EQ(w.size, PageSize::k2M);
  EXPECT_EQ(w.address, Gpa(0x4000'0000 | kAddress.offset_in(PageSize::k2M)));
  EXPECT_EQ(w.key, 5);
  EXPECT_TRUE(w.global);
  entry(3) = 0x8000'0000 | kPWU | pte::kLarge;
  w = run();
  EXPECT_EQ(memory.reads, (std::vector<unsigned>{4, 3}));
  EXPECT_EQ(w.size, PageSize::k1G);
  EXPECT_EQ(w.address, Gpa(0x8000'0000 | kAddress.offset_in(PageSize::k1G)));
  entry(4) |= pte::kLarge;
  EXPECT_EQ(run().error_code, pf::kUser | pf::kPresent | pf::kReserved);
}

// A walk that starts below the root, as from a paging-structure cache, keeps the rights found above.
TEST_F(WalkerTest, StartBelowTheRoot) {
  const WalkStart<Gpa> start{2, Gpa(kTable2), kRightUser};
  const Walk<Gpa> w = walk<Long4>(memory, start, kAddress, {AccessOp::kRead, Privilege::kUser}, rules);
  ASSERT_TRUE(w.ok());
  EXPECT_EQ(memory.reads, (std::vector<unsigned>{2, 1}));
  EXPECT_EQ(w.references(), 2u);
  EXPECT_EQ(w.rights, kRightUser);
  EXPECT_EQ(entry(4) & pte::kAccessed, 0u);
  EXPECT_EQ(walk<Long4>(memory, start, kAddress, {AccessOp::kWrite, Privilege::kUser}, rules).error_code,
            pf::kPresent | pf::kWrite | pf::kUser);
}

}  // namespace
}  // namespace gnomon

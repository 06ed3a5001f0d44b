// SPDX-License-Identifier: Apache-2.0
//
// Patterns whose events matter: churn, fork, switch. That what they do is possible at all is
// checked in streams_test.cc.
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/generate/stream.h"

namespace gnomon::generate_test {
namespace {

size_t count_of(const Stream& s, EventKind kind) {
  size_t n = 0;
  for (const TraceEvent& e : s.events) n += e.kind == kind;
  return n;
}

TEST(Churn, EveryMappingIsTouchedPageByPageAndGoes) {
  const Stream s = draw("churn,bytes=64K,least=8K,live=5,passes=3,refs=20000,writes=50");
  struct Mapping {
    uint64_t length;
    std::vector<uint64_t> touched;
  };
  std::map<uint64_t, Mapping> mappings;
  std::set<uint64_t> lengths;
  uint64_t newest = 0, maps = 0, cut = 0;
  size_t most = 0;
  const auto check = [&](uint64_t address, const Mapping& mapping) {
    const size_t pages = mapping.length / 4096;
    if (mapping.touched.size() != 3 * pages) ++cut;
    for (size_t i = 0; i < mapping.touched.size(); ++i) {
      ASSERT_EQ(mapping.touched[i], address + i % pages * 4096);
    }
  };
  for (const TraceRecord& r : s.records) {
    if (r.kind != RecordKind::kEvent) {
      mappings.at(newest).touched.push_back(r.address.value());
      continue;
    }
    const TraceEvent& e = s.event(r);
    if (e.kind == EventKind::kMap) {
      newest = e.address;
      mappings[newest] = {e.length, {}};
      lengths.insert(e.length);
      ++maps;
      most = std::max(most, mappings.size());
    } else if (e.kind == EventKind::kUnmap) {
      check(e.address, mappings.at(e.address));
      mappings.erase(e.address);
    }
  }
  EXPECT_TRUE(mappings.empty());
  EXPECT_EQ(count_of(s, EventKind::kUnmap), maps);
  EXPECT_LE(cut, 1u) << "only the last mapping may be left half touched";
  EXPECT_EQ(most, 5u);
  EXPECT_EQ(lengths.size(), 15u) << "all sizes from 2 to 16 pages";
  EXPECT_EQ(*lengths.begin(), 8192u);
  EXPECT_EQ(*lengths.rbegin(), 65536u);
}

TEST(Fork, EveryChildRunsOnceAndEnds) {
  for (const uint64_t alive : {1, 2, 7}) {
    for (const uint64_t exec : {0, 50, 100}) {
      const Stream s =
          draw(absl::StrCat("fork,bytes=40K,touches=5,refs=10000,alive=", alive, ",exec=", exec));
      std::map<uint32_t, uint64_t> touches;
      std::set<uint64_t> living;
      size_t most = 0;
      uint32_t current = 0, last_child = 0;
      std::vector<uint64_t> populated;
      for (const TraceRecord& r : s.records) {
        if (r.kind != RecordKind::kEvent) {
          ++touches[current];
          if (populated.size() < 10) populated.push_back(r.address.value());
          continue;
        }
        const TraceEvent& e = s.event(r);
        if (e.kind == EventKind::kFork) {
          EXPECT_EQ(current, 0u);
          EXPECT_EQ(e.process, 0u);
          EXPECT_TRUE(living.insert(e.value).second);
          most = std::max(most, living.size());
        } else if (e.kind == EventKind::kSwitch) {
          current = e.process;
          if (current == 0) continue;
          EXPECT_EQ(current, ++last_child) << "the eldest first";
        } else if (e.kind == EventKind::kExit && e.process != 0) {
          EXPECT_EQ(living.erase(e.process), 1u);
        }
      }
      EXPECT_TRUE(living.empty());
      EXPECT_EQ(most, alive);
      for (size_t i = 0; i < 10; ++i) EXPECT_EQ(populated[i], kBase + i * 4096);
      const size_t forks = count_of(s, EventKind::kFork);
      EXPECT_EQ(forks, last_child);
      EXPECT_EQ(count_of(s, EventKind::kExit), forks + 1);
      for (uint32_t child = 1; child + alive < last_child; ++child) {
        ASSERT_EQ(touches[child], 5u);
      }
      // 10 + n (5 alive + 5) = 10000 with n rounds
      EXPECT_EQ(forks, (9990 + 5 * alive + 4) / (5 * alive + 5) * alive);
      const double execs = static_cast<double>(count_of(s, EventKind::kExec));
      EXPECT_NEAR(execs, static_cast<double>(forks * exec) / 100,
                  5 * std::sqrt(static_cast<double>(forks)));
      if (exec == 0) EXPECT_EQ(execs, 0);
    }
  }
}

TEST(Switch, ProcessesTakeTurnsOfOneSlice) {
  for (const uint64_t processes : {1, 2, 5}) {
    const Stream s =
        draw(absl::StrCat("switch,bytes=64K,slice=30,refs=3015,processes=", processes));
    std::vector<uint64_t> slices(1);
    std::vector<uint32_t> order = {0};
    std::map<uint32_t, std::set<uint64_t>> pages;
    for (const TraceRecord& r : s.records) {
      if (r.kind != RecordKind::kEvent) {
        ++slices.back();
        pages[order.back()].insert(r.address.frame());
      } else if (const TraceEvent& e = s.event(r); e.kind == EventKind::kSwitch) {
        slices.push_back(0);
        order.push_back(e.process);
      }
    }
    // 100 whole turns, half a turn, then each one ends.
    ASSERT_EQ(slices.size(), 101 + processes);
    for (size_t i = 0; i < 101; ++i) {
      EXPECT_EQ(order[i], i % processes);
      EXPECT_EQ(slices[i], i < 100 ? 30u : 15u);
    }
    for (size_t i = 0; i < processes; ++i) {
      EXPECT_EQ(order[101 + i], i);
      EXPECT_EQ(slices[101 + i], 0u);
      EXPECT_EQ(pages[static_cast<uint32_t>(i)].size(), 16u) << "each the same 16 pages";
    }
    EXPECT_EQ(count_of(s, EventKind::kMap), processes);
    EXPECT_EQ(count_of(s, EventKind::kExit), processes);
  }
}

}  // namespace
}  // namespace gnomon::generate_test

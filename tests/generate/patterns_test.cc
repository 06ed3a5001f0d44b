// SPDX-License-Identifier: Apache-2.0
//
// The closed forms of docs/generators.md for patterns over one region.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/generate/stream.h"

namespace gnomon::generate_test {
namespace {

std::set<uint64_t> pages_of(const std::vector<TraceRecord>& records) {
  std::set<uint64_t> pages;
  for (const TraceRecord& r : records) {
    pages.insert(r.address.frame());
    pages.insert((r.address.value() + r.size - 1) / 4096);
  }
  return pages;
}

TEST(Sequential, TouchesEachByteOnceInOrder) {
  for (const uint64_t size : {1, 3, 8, 64, 4096}) {
    const Stream s = draw(absl::StrCat("sequential,bytes=1M,refs=10000,size=", size));
    const uint64_t places = (1 << 20) / size;
    const std::vector<TraceRecord> data = s.data();
    for (size_t i = 0; i < data.size(); ++i) {
      ASSERT_EQ(data[i].address.value(), kBase + i % places * size);
    }
    const uint64_t bytes = std::min<uint64_t>(10'000, places) * size;
    EXPECT_EQ(pages_of(data).size(), (bytes + 4095) / 4096) << size;
  }
}

TEST(Stride, ReturnsToTheFrontAfterTheLastWholePlace) {
  for (const uint64_t bytes : {8, 4096, 100'000, 1'000'000}) {
    for (const uint64_t step : {1, 8, 64, 4096, 4104, 5'000'000}) {
      const Stream s = draw(absl::StrCat("stride,refs=5000,bytes=", bytes, ",step=", step));
      const uint64_t places = (bytes - 8) / step + 1;
      const std::vector<TraceRecord> data = s.data();
      for (size_t i = 0; i < data.size(); ++i) {
        ASSERT_EQ(data[i].address.value(), kBase + i % places * step) << bytes << " by " << step;
      }
    }
  }
}

TEST(Uniform, IsUniform) {
  // 1024 places, 1024 draws each: chi-square has mean 1023 and deviation 45.
  const Stream s = draw("uniform,bytes=8K,refs=1048576,seed=5");
  std::map<uint64_t, uint64_t> counts;
  for (const TraceRecord& r : s.data()) {
    ASSERT_EQ(r.address.value() % 8, 0u);
    ++counts[r.address.value() - kBase];
  }
  ASSERT_EQ(counts.size(), 1024u);
  ASSERT_LT(counts.rbegin()->first, 8192u);
  uint64_t squares = 0;
  for (const auto& [place, n] : counts) squares += n * n;
  const uint64_t chi_square = squares / 1024 - 1'048'576;
  EXPECT_GT(chi_square, 1023u - 5 * 45);
  EXPECT_LT(chi_square, 1023u + 5 * 45);
}

TEST(Uniform, StoresTheShareAskedFor) {
  for (const uint64_t writes : {0, 1, 30, 99, 100}) {
    const Stream s = draw(absl::StrCat("uniform,refs=1M,writes=", writes));
    uint64_t stores = 0;
    for (const TraceRecord& r : s.data()) {
      ASSERT_EQ(r.size, 8);
      stores += r.kind == RecordKind::kStore;
    }
    // Deviation of a binomial: below 500.
    EXPECT_NEAR(static_cast<double>(stores), 1e4 * static_cast<double>(writes),
                writes % 100 == 0 ? 0 : 2500);
  }
}

TEST(Chase, VisitsEachNodeOncePerCycleInTheSameOrder) {
  for (const uint64_t nodes : {1, 2, 3, 5, 64, 1000, 1024, 1025, 40'000}) {
    const Stream s = draw(absl::StrCat("chase,step=48,bytes=", nodes * 48 + 47,
                                       ",refs=", 2 * nodes + 1, ",seed=", nodes));
    const std::vector<TraceRecord> data = s.data();
    std::set<uint64_t> seen;
    for (size_t i = 0; i < nodes; ++i) {
      const uint64_t place = data[i].address.value() - kBase;
      ASSERT_EQ(place % 48, 0u);
      ASSERT_LT(place / 48, nodes);
      ASSERT_TRUE(seen.insert(place).second) << "node " << place / 48 << " twice, of " << nodes;
    }
    for (size_t i = nodes; i < data.size(); ++i) ASSERT_EQ(data[i], data[i - nodes]);
  }
}

TEST(Chase, IsNoPatternThatAPrefetcherKnows) {
  // Among 2^16 nodes, distances from one node to the next are nearly all different.
  const std::vector<TraceRecord> data = draw("chase,bytes=4M,refs=65536").data();
  std::map<uint64_t, int> distances;
  int most = 0, near = 0;
  for (size_t i = 1; i < data.size(); ++i) {
    const uint64_t distance = data[i].address.value() - data[i - 1].address.value();
    most = std::max(most, ++distances[distance]);
    near += data[i].address.frame() == data[i - 1].address.frame();
  }
  EXPECT_GT(distances.size(), 30'000u);
  EXPECT_LT(most, 30);
  EXPECT_NEAR(near, 64, 40);  // 1024 pages
}

TEST(Gups, ModifiesWholeWords) {
  const Stream s = draw("gups,bytes=1M,refs=20001");
  const std::vector<TraceRecord> data = s.data();
  ASSERT_EQ(data.size(), 10'001u);
  for (size_t i = 0; i < data.size(); ++i) {
    // Half an update is a load.
    ASSERT_EQ(data[i].kind, i < 10'000 ? RecordKind::kModify : RecordKind::kLoad);
    ASSERT_EQ(data[i].size, 8);
    ASSERT_EQ(data[i].address.value() % 8, 0u);
  }
}

/// How often each page was chosen.
std::vector<uint64_t> page_counts(const std::string& spec, uint64_t pages) {
  std::vector<uint64_t> counts(pages);
  for (const TraceRecord& r : draw(spec).data()) ++counts.at(r.address.frame() - kBase / 4096);
  return counts;
}

TEST(Zipf, RanksHaveTheirExactShareWithExponentOne) {
  constexpr uint64_t kPages = 1000, kDraws = 2'000'000, kOne = uint64_t{1} << 52;
  const std::vector<uint64_t> counts =
      page_counts("zipf,theta=100,scatter=off,bytes=4000K,refs=2M,seed=3", kPages);
  uint64_t harmonic = 0;
  for (uint64_t r = 1; r <= kPages; ++r) harmonic += kOne / r;
  uint64_t tail = 0, tail_expected = 0;
  for (uint64_t r = 1; r <= kPages; ++r) {
    const uint64_t expected = kDraws * (kOne / r >> 20) / (harmonic >> 20);
    if (r > 10) {
      tail += counts[r - 1];
      tail_expected += expected;
      continue;
    }
    // Five deviations, the deviation being at most the root of the expectation.
    const auto limit = static_cast<uint64_t>(5 * std::sqrt(static_cast<double>(expected)));
    EXPECT_LT(counts[r - 1], expected + limit) << "rank " << r;
    EXPECT_GT(counts[r - 1], expected - limit) << "rank " << r;
  }
  EXPECT_NEAR(static_cast<double>(tail), static_cast<double>(tail_expected), 5000);
}

TEST(Zipf, FollowsItsLawAlsoWhereRanksAreBanded) {
  constexpr uint64_t kPages = 300'000;
  struct Case {
    const char* keys;
    double (*weight)(double rank);
  };
  const Case kCases[] = {
      {"theta=99", [](double r) { return std::pow(r, -0.99); }},
      {"theta=50", [](double r) { return std::pow(r, -0.5); }},
      {"theta=0", [](double) { return 1.0; }},
      {"law=loguniform", [](double r) { return std::log1p(1 / r); }},
  };
  for (const Case& c : kCases) {
    const std::vector<uint64_t> counts = page_counts(
        absl::StrCat("zipf,scatter=off,bytes=", kPages * 4096, ",refs=2M,", c.keys), kPages);
    double total = 0;
    for (uint64_t r = 1; r <= kPages; ++r) total += c.weight(static_cast<double>(r));
    // In groups of ranks that double.
    for (uint64_t from = 1; from <= kPages; from *= 2) {
      double expected = 0;
      uint64_t got = 0;
      for (uint64_t r = from; r < 2 * from && r <= kPages; ++r) {
        expected += c.weight(static_cast<double>(r)) / total * 2e6;
        got += counts[r - 1];
      }
      EXPECT_NEAR(static_cast<double>(got), expected, 5 * std::sqrt(expected) + 1)
          << c.keys << " from rank " << from;
    }
  }
}

TEST(Zipf, ScatteringMovesPagesButNotTheirPopularity) {
  const std::string spec = "zipf,bytes=4000K,refs=100K,scatter=";
  std::vector<uint64_t> ordered = page_counts(spec + "off", 1000);
  std::vector<uint64_t> scattered = page_counts(spec + "on", 1000);
  EXPECT_NE(ordered, scattered);
  EXPECT_LT(std::max_element(ordered.begin(), ordered.end()) - ordered.begin(), 2);
  std::sort(ordered.begin(), ordered.end());
  std::sort(scattered.begin(), scattered.end());
  EXPECT_EQ(ordered, scattered);
}

}  // namespace
}  // namespace gnomon::generate_test

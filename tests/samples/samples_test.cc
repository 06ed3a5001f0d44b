// SPDX-License-Identifier: Apache-2.0
//
// The committed samples: readable, small, and replayed alike under every backend.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gnomon/replay/session.h"
#include "gnomon/traces/gtrace.h"
#include "tests/support/scale.h"

namespace gnomon {
namespace {

std::vector<std::string> samples() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(
           absl::StrCat(GNOMON_TEST_SOURCE_DIR, "/traces/samples"))) {
    if (entry.path().extension() == ".gtrace") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

uint64_t references_of(const std::string& path) {
  const auto index = read_gtrace_index(path);
  if (!index.ok() || index->empty()) return 0;
  return index->back().first_reference + index->back().references;
}

/// Audits the references from `skip` on; equal and sound under all backends.
void expect_sound(const std::string& path, uint64_t skip, uint64_t limit) {
  SCOPED_TRACE(absl::StrCat(path, " from ", skip));
  ReplaySetup setup;
  setup.traces = {path};
  setup.skip = skip;
  setup.limit = limit;
  setup.audit = true;
  setup.machine.guest.memory_bytes = uint64_t{1} << 30;
  const std::vector<std::string> backends = {
      "native", "shadow", "shadow:unsync=off", "vtlb", "nested", "npt", "agile"};
  const auto result = replay(setup, backends);
  ASSERT_TRUE(result.ok()) << result.status();
  for (const ReplayResult& r : result->machines) {
    EXPECT_TRUE(r.problems.empty()) << r.spec << ": " << r.problems.front();
    EXPECT_GT(r.counters[Counter::kAccesses], 0u) << r.spec;
    EXPECT_EQ(compare_memory(result->machines.front(), r), "") << r.spec;
  }
}

TEST(Samples, ThereAreSeveralAndTheyAreSmall) {
  uint64_t bytes = 0;
  for (const std::string& path : samples()) bytes += std::filesystem::file_size(path);
  EXPECT_GE(samples().size(), 8u);
  EXPECT_LT(bytes, 20u << 20);
}

TEST(Samples, TheIndexIsReadableAndAReferenceTakesFewBytes) {
  for (const std::string& path : samples()) {
    SCOPED_TRACE(path);
    const auto index = read_gtrace_index(path);
    ASSERT_TRUE(index.ok()) << index.status();
    ASSERT_FALSE(index->empty());
    const uint64_t references = references_of(path);
    EXPECT_GT(references, 5'000'000u);
    EXPECT_LE(static_cast<double>(std::filesystem::file_size(path)),
              2.5 * static_cast<double>(references));
    const auto last = read_gtrace_block(path, index->back());
    EXPECT_TRUE(last.ok()) << last.status();
  }
}

class Windows : public ::testing::TestWithParam<std::string> {};

TEST_P(Windows, AreSoundUnderEveryBackend) {
  const std::string path =
      absl::StrCat(GNOMON_TEST_SOURCE_DIR, "/traces/samples/", GetParam(), ".gtrace");
  const uint64_t window = small_scale() ? 50'000 : 500'000;
  const uint64_t references = references_of(path);
  ASSERT_GT(references, 4 * window);
  for (const uint64_t skip : {uint64_t{0}, references / 2, references - window}) {
    expect_sound(path, skip, window);
  }
}

INSTANTIATE_TEST_SUITE_P(Samples, Windows,
                         ::testing::Values("sort", "gcc", "sqlite", "lookup", "python", "grep",
                                           "shell", "git", "xz"),
                         [](const auto& sample) { return sample.param; });

TEST(Samples, AWholeOneIsSoundUnderEveryBackend) {
  if (small_scale()) GTEST_SKIP() << "reads a whole sample";
  expect_sound(absl::StrCat(GNOMON_TEST_SOURCE_DIR, "/traces/samples/git.gtrace"), 0, 0);
}

}  // namespace
}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/support/scale.h"
#include "tests/vcpu/random_guest.h"

// Whole vCPUs, with TLB and walk caches, over every backend: a guest that invalidates what the
// manual tells it to sees exactly what a processor without any cache would show it.

namespace gnomon::vcpu_test {
namespace {

constexpr absl::string_view kBackends[] = {"native",
                                           "shadow",
                                           "shadow:unsync=off,update=off",
                                           "shadow:directory=full-trap,flags=lazy",
                                           "shadow:budget=1,roots=0",
                                           "vtlb",
                                           "agile",
                                           "agile:interval=4,start=shadow",
                                           "agile:writes=0",
                                           "nested",
                                           "nested:ad=off,max_page=4K",
                                           "npt",
                                           "direct"};
constexpr absl::string_view kPresets[] = {"tiny", "skylake", "zen4"};

constexpr uint64_t kLong = efer::kLME | efer::kNXE;
constexpr PagingShape kShapes[] = {
    {"level4", cr4::kPAE | cr4::kPGE | cr4::kPCIDE, kLong, 4, 8},
    {"legacy32", cr4::kPSE | cr4::kPGE, 0, 2, 4},
    {"pae", cr4::kPAE | cr4::kPGE, efer::kNXE, 3, 8},
    {"level5", cr4::kPAE | cr4::kPGE | cr4::kPCIDE | cr4::kLA57, kLong, 5, 8},
};

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 0);
}
unsigned seeds() { return by_scale(1, 6, 60); }

class VcpuBackends : public ::testing::TestWithParam<absl::string_view> {};

TEST_P(VcpuBackends, CachesNeverShow) {
  constexpr unsigned kSteps = 1000;
  const uint64_t base = from_environment("GNOMON_TEST_SEED", 1);
  const auto start = std::chrono::steady_clock::now();
  Counts c;
  for (const PagingShape& shape : kShapes) {
    if (GetParam() == "direct" && shape.levels != 4) continue;
    for (const absl::string_view preset : kPresets) {
      for (uint64_t seed = base; seed < base + seeds(); ++seed) {
        const uint64_t mixed = seed * 1000 + shape.levels + 100 * static_cast<uint64_t>(preset[0]);
        RandomGuest guest(GetParam(), preset, shape, mixed, c);
        const std::string problem = guest.run(kSteps);
        guest.add_hits();
        ASSERT_TRUE(problem.empty()) << GetParam() << ", " << preset << ", " << shape.name
                                     << ", seed " << seed << ", " << problem;
      }
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  RecordProperty("accesses", std::to_string(c.accesses));
  RecordProperty("tlb_hits", std::to_string(c.hits));
  std::printf("%s",
              absl::StrFormat(
                  "%d accesses (%d TLB hits): %d translated, %d faults, %d host stops; %d flags, "
                  "%d table writes, "
                  "%d trapped, %d flushes, %d host changes, %d dirty, %d refused; %.2f s\n",
                  c.accesses, c.hits, c.translated, c.faults, c.host_stops, c.flags, c.table_writes,
                  c.trapped, c.flushes, c.host_changes, c.dirty, c.refused, took.count())
                  .c_str());
  EXPECT_GT(c.translated, c.accesses / 10);
  EXPECT_GT(c.hits, c.accesses / 50);
}

std::string test_name(const ::testing::TestParamInfo<absl::string_view>& info) {
  std::string name(info.param);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !absl::ascii_isalnum(c); }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, VcpuBackends, ::testing::ValuesIn(kBackends), test_name);

}  // namespace
}  // namespace gnomon::vcpu_test

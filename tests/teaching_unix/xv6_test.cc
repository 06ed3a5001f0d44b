// SPDX-License-Identifier: Apache-2.0
//
// MIT's xv6 for x86, unmodified, from outside the project: GNOMON_TEST_XV6 names a folder with
// xv6.img, fs.img and kernel as its Makefile builds them (docs/teaching-unix.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/teaching_unix/run_guest.h"

namespace gnomon::vmm {
namespace {

using testing::HasSubstr;

constexpr absl::string_view kTyped = "ls\necho hi | wc\n";
constexpr uint64_t kMostOfSession = 700'000'000;

class Xv6 : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("GNOMON_TEST_XV6");
    if (folder == nullptr)
      GTEST_SKIP() << "GNOMON_TEST_XV6 names no folder with xv6.img, fs.img and kernel";
    folder_ = folder;
  }

  MachineOptions options_for(absl::string_view image, absl::string_view backend) const {
    MachineOptions o;
    o.load.image = absl::StrCat(folder_, "/", image);
    o.board.disks = {absl::StrCat(folder_, "/xv6.img"), absl::StrCat(folder_, "/fs.img")};
    o.board.memory_bytes = 256u << 20;
    o.board.cpus = GetParam();
    o.backend = std::string(backend);
    return o;
  }

  void expect_shell(const Seen& seen) const {
    for (unsigned cpu = 0; cpu < GetParam(); ++cpu) {
      EXPECT_THAT(seen.console, HasSubstr(absl::StrCat("cpu", cpu, ": starting ", cpu)));
    }
    EXPECT_THAT(seen.console, HasSubstr("init: starting sh"));
    EXPECT_THAT(seen.console, HasSubstr("console        3"));
    EXPECT_THAT(seen.console, HasSubstr("1 1 3"));
    EXPECT_THAT(seen.screen, testing::Contains(HasSubstr("1 1 3")));
  }

  std::string folder_;
};

TEST_P(Xv6, RunsCommandsTheSameUnderEveryBackend) {
  const Seen native = run_guest(options_for("xv6.img", "native"), kTyped, kMostOfSession);
  expect_shell(native);
  for (const absl::string_view backend : kAllBackends) {
    EXPECT_EQ(run_guest(options_for("xv6.img", backend), kTyped, kMostOfSession), native)
        << backend;
  }
}

TEST_P(Xv6, StartsFromItsMultibootHeader) {
  expect_shell(run_guest(options_for("kernel", "shadow"), kTyped, kMostOfSession));
}

INSTANTIATE_TEST_SUITE_P(Processors, Xv6, testing::Values(1u, 2u));

}  // namespace
}  // namespace gnomon::vmm

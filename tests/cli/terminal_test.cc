// SPDX-License-Identifier: Apache-2.0
//
// Progress is for terminals only: `script` gives the program one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// What a command shows on a terminal. It is stopped after two seconds: it has no end.
std::string shown(const std::string& arguments) {
  return run(absl::StrCat("timeout -s KILL 10 script -qec \"timeout 2 '", GNOMON_TEST_TOOL, "' ",
                          arguments, "\" /dev/null </dev/null"))
      .out;
}

class Terminal : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run("command -v script").status != 0)
      GTEST_SKIP() << "script (util-linux) is not installed";
  }
};

constexpr absl::string_view kEndless = "zipf,refs=1000G,bytes=16M";

TEST_F(Terminal, ReplayShowsRateAndTimeLeft) {
  EXPECT_THAT(shown(absl::StrCat("replay gen:", kEndless)),
              AllOf(HasSubstr(" M references, "), HasSubstr(" M/s"), HasSubstr(" s left")));
}

TEST_F(Terminal, GenShowsRateAndSize) {
  EXPECT_THAT(shown(absl::StrCat("gen ", kEndless, " ", scratch_path("endless.gtrace"))),
              AllOf(HasSubstr(" M/s"), HasSubstr(" MB written")));
}

TEST_F(Terminal, RecordShowsRateAndSize) {
  if (run("command -v valgrind").status != 0) GTEST_SKIP() << "valgrind is not installed";
  const std::string out =
      shown("record -o " + scratch_path("shown.gtrace") + " -- sh -c 'while :; do :; done'");
  if (out.find("tool") != std::string::npos)
    GTEST_SKIP() << "the valgrind tool is not built: " << out;
  EXPECT_THAT(out, AllOf(HasSubstr(" M/s, "), HasSubstr(" MB written, 1 process")));
}

TEST_F(Terminal, InfoShowsRateAndTimeLeft) {
  EXPECT_THAT(shown(absl::StrCat("info gen:", kEndless)),
              AllOf(HasSubstr(" M/s"), HasSubstr(" s left")));
}

TEST_F(Terminal, QuietAndPipesHaveNone) {
  EXPECT_THAT(shown(absl::StrCat("replay -q gen:", kEndless)), Not(HasSubstr("M/s")));
  const Finished f = run(absl::StrCat("timeout 1 '", GNOMON_TEST_TOOL, "' replay gen:", kEndless));
  EXPECT_EQ(f.out + f.err, "");
}

TEST_F(Terminal, ATraceThatIsNotTextDoesNotGoThere) {
  EXPECT_THAT(shown("gen zipf,refs=1k"), HasSubstr("standard output is a terminal"));
}

}  // namespace
}  // namespace gnomon::cli_test

// SPDX-License-Identifier: Apache-2.0
//
// Progress is for terminals only: `script` gives the program one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
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

constexpr absl::string_view kLongPattern = "zipf,refs=1000G,bytes=16M";

TEST_F(Terminal, ReplayShowsRateAndTimeLeft) {
  EXPECT_THAT(shown(absl::StrCat("replay gen:", kLongPattern)),
              AllOf(HasSubstr(" M references, "), HasSubstr(" M/s"), HasSubstr(" h left")));
}

TEST_F(Terminal, GenShowsRateAndSize) {
  EXPECT_THAT(shown(absl::StrCat("gen ", kLongPattern, " ", scratch_path("endless.gtrace"))),
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
  EXPECT_THAT(shown(absl::StrCat("info gen:", kLongPattern)),
              AllOf(HasSubstr(" M/s"), HasSubstr(" h left")));
}

/// What a command shows on a terminal of 80 columns whose user presses Ctrl-C once `text` is there.
Finished shown_until_interrupt(const std::string& arguments, const std::string& text) {
  const std::string typescript = scratch_path("typescript");
  return run(absl::StrCat(
      ": >", typescript, "\n(for i in $(seq 1000); do grep -q '", text, "' ", typescript,
      " && break; sleep 0.05; done; printf '\\003') | timeout -s KILL 60 script -qfec "
      "\"stty cols 80; exec '",
      GNOMON_TEST_TOOL, "' ", arguments, "\" ", typescript));
}

TEST_F(Terminal, AnInterruptWipesTheLineAndEndsReplay) {
  const Finished f = shown_until_interrupt(absl::StrCat("replay gen:", kLongPattern), "M/s");
  EXPECT_EQ(f.status, 130);
  EXPECT_TRUE(absl::EndsWith(f.out, "\r\x1b[K")) << f.out;
}

TEST_F(Terminal, AnInterruptEndsTheRecordedProgramAndKeepsTheTrace) {
  if (run("command -v valgrind").status != 0) GTEST_SKIP() << "valgrind is not installed";
  const std::string trace = scratch_path("stopped.gtrace");
  const Finished f = shown_until_interrupt("record -o " + trace + " -- sh -c 'while :; do :; done'",
                                           "tool\\|[1-9][0-9.]* M/s");
  if (f.out.find("tool") != std::string::npos)
    GTEST_SKIP() << "the valgrind tool is not built: " << f.out;
  EXPECT_EQ(f.status, 0);
  EXPECT_THAT(f.out, HasSubstr("\r\x1b[Kgnomon: "));  // the summary stands on a line of its own
  EXPECT_THAT(f.out, HasSubstr("warning: interrupted: the trace ends there\r\n"));
  EXPECT_GT(json_of("gnomon info -q --json " + trace)["traces"][0]["references"], 1000);
}

TEST_F(Terminal, LinesFitAndHaveNoColours) {
  const std::string out = shown(
      absl::StrCat("compare gen:", kLongPattern, " gen:", kLongPattern, " --sweep tlb=zen4,zen3"));
  EXPECT_THAT(out, HasSubstr("M/s"));
  for (absl::string_view line : absl::StrSplit(out, '\r')) {
    absl::ConsumeSuffix(&line, "\x1b[K");
    EXPECT_LE(line.size(), 80u) << line;
    EXPECT_EQ(line.find('\x1b'), line.npos) << line;
  }
  const std::string narrow =
      run(absl::StrCat("timeout -s KILL 10 script -qec \"stty cols 30; timeout 2 '",
                       GNOMON_TEST_TOOL, "' replay gen:", kLongPattern, "\" /dev/null </dev/null"))
          .out;
  EXPECT_THAT(narrow, HasSubstr(" M references, "));
  for (absl::string_view line : absl::StrSplit(narrow, '\r')) {
    absl::ConsumeSuffix(&line, "\x1b[K");
    EXPECT_LT(line.size(), 30u) << line;
  }
}

TEST_F(Terminal, QuietAndPipesHaveNone) {
  EXPECT_THAT(shown(absl::StrCat("replay -q gen:", kLongPattern)), Not(HasSubstr("M/s")));
  const Finished f =
      run(absl::StrCat("timeout 1 '", GNOMON_TEST_TOOL, "' replay gen:", kLongPattern));
  EXPECT_EQ(f.out + f.err, "");
}

TEST_F(Terminal, ATraceThatIsNotTextDoesNotGoThere) {
  EXPECT_THAT(shown("gen zipf,refs=1k"), HasSubstr("standard output is a terminal"));
}

}  // namespace
}  // namespace gnomon::cli_test

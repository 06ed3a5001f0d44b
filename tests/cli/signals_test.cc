// SPDX-License-Identifier: Apache-2.0
//
// How the program ends when it is told to, or when nobody reads on: nothing half-written stays, and
// the status is that of the signal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using ::testing::IsEmpty;

constexpr absl::string_view kEndless = "zipf,refs=1000G,bytes=16M";

struct Interrupted {
  Finished finished;
  int files = 0;  ///< that are left in its directory
};

/// Runs a command that has no end in a directory of its own, and sends it a signal once there are
/// `files` files. A shell starts background jobs with SIGINT ignored; env takes that back.
Interrupted interrupted(absl::string_view arguments, absl::string_view signal, int files,
                        absl::string_view setup = "true") {
  const std::string directory = scratch_path("interrupted");
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  Interrupted result;
  // Not for ever, should the signal not end it.
  result.finished = run(absl::StrCat(
      "cd ", directory, "\n", setup, "\nenv --default-signal=INT,TERM,HUP '", GNOMON_TEST_TOOL,
      "' ", arguments,
      " & p=$!\n(for i in $(seq 600); do sleep 0.1; kill -0 $p || exit; done; kill -KILL $p) "
      ">/dev/null 2>&1 &\nfor i in $(seq 1000); do [ $(ls | wc -l) -ge ",
      files, " ] && break; sleep 0.02; done\nkill -", signal, " $p\nwait $p"));
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) {
    ++result.files;
  }
  return result;
}

TEST(Signals, WhatIsUnfinishedGoes) {
  const struct {
    std::string arguments;
    int files;
  } cases[] = {
      {absl::StrCat("gen ", kEndless, " endless.gtrace"), 1},
      {absl::StrCat("gen ", kEndless, " -o endless.csv.gz"), 1},
      {absl::StrCat("convert gen:", kEndless, " endless.csv"), 1},
      {absl::StrCat("compare gen:", kEndless,
                    " --export-html a --export-json b --export-csv c -m native,shadow"),
       3},
      {absl::StrCat("replay gen:", kEndless, " --export-guest a --export-trace b"), 2},
      // A guest that goes round for ever (JMP).
      {absl::StrCat("run -q --format raw ", scratch_file("endless.bin", "\xeb\xfe"),
                    " --record a --events b"),
       2},
  };
  for (const auto& [arguments, files] : cases) {
    const Interrupted ended = interrupted(arguments, "INT", files);
    EXPECT_EQ(ended.finished.status, 130) << arguments;
    EXPECT_EQ(ended.files, 0) << arguments;
    EXPECT_THAT(ended.finished.out, IsEmpty()) << arguments;
  }
}

TEST(Signals, TheStatusIsThatOfTheSignal) {
  const std::string endless = absl::StrCat("gen ", kEndless, " endless.gtrace");
  const struct {
    absl::string_view signal;
    int status;
  } cases[] = {{"TERM", 143}, {"HUP", 129}};
  for (const auto& [signal, status] : cases) {
    const Interrupted ended = interrupted(endless, signal, 1);
    EXPECT_EQ(ended.finished.status, status);
    EXPECT_EQ(ended.files, 0) << signal;
  }
}

TEST(Signals, WhatWasThereBeforeStays) {
  const Interrupted ended = interrupted(absl::StrCat("gen ", kEndless, " kept.gtrace"), "INT", 2,
                                        "printf precious >kept.gtrace");
  EXPECT_EQ(ended.finished.status, 130);
  EXPECT_EQ(ended.files, 1);
  EXPECT_EQ(run("cat " + scratch_path("interrupted") + "/kept.gtrace").out, "precious");
}

TEST(Signals, AnIgnoredOneStaysIgnored) {
  const std::string out = scratch_path("ignored.gtrace");
  const Finished f = run(absl::StrCat(
      "trap '' INT HUP\ngnomon gen -q zipf,refs=3M,bytes=16M ", out,
      " & p=$!\nfor i in $(seq 1000); do ls ", out,
      "* >/dev/null 2>&1 && break; sleep 0.02; done\nkill -INT $p\nkill -HUP $p\nwait $p"));
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_EQ(json_of("gnomon info -q --json " + out)["traces"][0]["references"], 3'000'000);
}

/// Runs a command whose reader has gone before it starts. Its status is the last line of `err`.
Finished unread(const std::string& command) {
  const std::string gone = scratch_path("gone");
  std::filesystem::remove(gone);
  return run(absl::StrCat("{ until [ -e ", gone, " ]; do sleep 0.02; done\n", command,
                          "\necho $? >&2; } | { exec <&-; : >", gone, "; }"));
}

TEST(ClosedPipe, EndsTheProgramSilently) {
  const std::string many = scratch_path("many.gtrace");
  ASSERT_EQ(run("gnomon gen -q uniform,refs=200k,bytes=1M " + many).status, 0);
  const std::string lines[] = {
      "presets",
      "counters --json",
      "help",
      "compare --help",
      "man",
      "compare -q " + small_trace(),
      "compare -q --json " + small_trace(),
      "info -q " + small_trace(),
      "convert -q " + many + " -",
      "convert " + many + " - --to csv",
      absl::StrCat("gen ", kEndless, " -"),
      absl::StrCat("gen ", kEndless, " --to csv"),
  };
  for (const std::string& line : lines) {
    EXPECT_EQ(unread("gnomon " + line).err, "141\n") << line;
  }
}

TEST(ClosedPipe, LeavesNoOtherFileHalfWritten) {
  const std::string directory = scratch_path("closed");
  std::filesystem::create_directories(directory);
  const std::string line = "gnomon compare -q " + small_trace();
  EXPECT_EQ(unread(line + " --export-csv " + directory + "/a.csv").err, "141\n");
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    EXPECT_EQ(entry.path().filename(), "a.csv");
  }
}

TEST(ClosedPipe, OfAnotherFileThanStandardOutput) {
  const std::string fifo = scratch_path("fifo");
  const Finished f =
      run(absl::StrCat("mkfifo ", fifo, " && { head -n 1 ", fifo, " >/dev/null & gnomon gen ",
                       kEndless, " ", fifo, " --to csv; }"));
  EXPECT_EQ(f.status, 141);
  EXPECT_THAT(f.err, IsEmpty());
}

TEST(ClosedPipe, OfTheMessagesAloneChangesNoStatus) {
  const struct {
    std::string line;
    int status;
  } cases[] = {
      {"info /no/such", 2},
      {"no-such-verb", 2},
      {"convert -q " + small_trace() + " /dev/full --to csv", 2},
      {"convert " + small_trace() + " " + scratch_path("quiet.csv"), 0},
  };
  const std::string gone = scratch_path("gone");
  for (const auto& [line, status] : cases) {
    std::filesystem::remove(gone);
    const Finished f =
        run(absl::StrCat("{ { until [ -e ", gone, " ]; do sleep 0.02; done\ngnomon ", line,
                         "\necho $? >&3; } 2>&1 | { exec <&-; : >", gone, "; }; } 3>&1"));
    EXPECT_EQ(f.out, absl::StrCat(status, "\n")) << line;
  }
}

TEST(ClosedPipe, IsAnErrorWhereTheSignalIsIgnored) {
  EXPECT_EQ(unread("trap '' PIPE; gnomon presets").err,
            "gnomon: cannot write the result: Broken pipe\n2\n");
  EXPECT_EQ(unread("trap '' PIPE; gnomon convert -q " + small_trace() + " -").err,
            "gnomon: standard output: cannot write: Broken pipe\n2\n");
}

}  // namespace
}  // namespace gnomon::cli_test

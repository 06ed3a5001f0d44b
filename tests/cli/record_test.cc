// SPDX-License-Identifier: Apache-2.0
//
// `record`: real programs under valgrind. What a recording holds is tested in tests/record.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class Record : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run("command -v valgrind").status != 0) GTEST_SKIP() << "valgrind is not installed";
    const Finished f = run("gnomon record -q -o " + scratch_path("probe.gtrace") + " -- true");
    if (f.status != 0 && f.err.find("tool") != std::string::npos) {
      GTEST_SKIP() << "the valgrind tool is not built: " << f.err;
    }
    ASSERT_EQ(f.status, 0) << f.err;
  }
};

TEST_F(Record, TheProgramKeepsItsOutputAndStatus) {
  const std::string trace = scratch_path("echo.gtrace");
  const Finished f = run("echo in | gnomon record -o " + trace +
                         " --note 'a test' -- sh -c 'read x; echo got $x; exit 3'");
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_EQ(f.out, "got in\n");
  EXPECT_THAT(f.err, StartsWith(absl::StrCat("gnomon: ", trace, ": ")));
  EXPECT_THAT(f.err, HasSubstr("warning: the program ended with status 3\n"));
  const json info = json_of("gnomon info --json " + trace);
  EXPECT_EQ(info["traces"][0]["note"], "a test");
  EXPECT_GT(info["traces"][0]["references"], 10'000);
  EXPECT_EQ(run("gnomon compare -q --audit --limit 100k " + trace).status, 0);
}

TEST_F(Record, JsonAndLimit) {
  const json d =
      json_of("gnomon record --json --limit 10k -o " + scratch_path("limit.gtrace") + " -- true");
  EXPECT_EQ(d["schema"], "gnomon.record/1");
  EXPECT_EQ(d["references"], 10'000);
  EXPECT_EQ(d["limit_reached"], true);
  for (const char* key :
       {"output", "events", "processes", "threads", "bytes", "program_status", "interrupted"}) {
    EXPECT_TRUE(d.contains(key)) << key;
  }
}

TEST_F(Record, AProgramDoesNotWriteIntoATraceOnStandardOutput) {
  const Finished f =
      run("gnomon record -q -o - --to csv -- sh -c 'echo said; echo complained >&2' >" +
          scratch_path("clean.csv"));
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_EQ(f.err, "said\ncomplained\n");
  const json info = json_of("gnomon info --json " + scratch_path("clean.csv"));
  EXPECT_GT(info["traces"][0]["references"], 10'000);
}

TEST_F(Record, WordsAfterTheDashesAreTheProgramsOwn) {
  const Finished f =
      run("gnomon record -q -o " + scratch_path("own.gtrace") + " -- echo --json -q -- ''x");
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_EQ(f.out, "--json -q -- x\n");
  EXPECT_THAT(f.err, IsEmpty());
}

TEST_F(Record, TheSuffixOrAnOptionSaysTheFormat) {
  const std::string csv = scratch_path("true.csv");
  ASSERT_EQ(run("gnomon record -q --limit 5k -o " + csv + " -- true").status, 0);
  EXPECT_EQ(json_of("gnomon info --json " + csv)["traces"][0]["format"], "csv");
  const Finished piped =
      run("gnomon record -q --limit 5k -o - --to csv -- true | gnomon info --json -");
  EXPECT_EQ(json::parse(piped.out)["traces"][0]["references"], 5000) << piped.err;
}

TEST_F(Record, TheDefaultFileIsNamedAfterTheProgram) {
  const std::string directory = scratch_path("default");
  const Finished f = run("mkdir -p " + directory + " && cd " + directory +
                         " && gnomon record -q --limit 5k -- /bin/true");
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_TRUE(std::filesystem::exists(directory + "/true.gtrace"));
}

TEST_F(Record, AClosedPipeEndsItSilently) {
  const Finished f =
      run("{ gnomon record -q -o - --to csv -- sh -c 'while :; do :; done'; echo $? >&2; } | head "
          "-n 1");
  EXPECT_EQ(f.out.substr(0, 3), "op,");
  EXPECT_EQ(f.err, "141\n");
}

TEST_F(Record, AnInterruptKeepsTheTrace) {
  const std::string trace = scratch_path("interrupted.gtrace");
  // A shell starts background jobs with SIGINT ignored; env --default-signal takes that back. The
  // program says when it runs, and would run for ever.
  const std::string ready = scratch_path("ready");
  const Finished f = run(absl::StrCat(
      "env --default-signal=INT '", GNOMON_TEST_TOOL, "' record -o ", trace,
      " -- sh -c 'while :; do echo x >", ready, "; done' & p=$!\n", "for i in $(seq 600); do [ -e ",
      ready, " ] && break; sleep 0.05; done\nkill -INT $p\nwait $p"));
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.err, HasSubstr("warning: interrupted: the trace ends there\n"));
  EXPECT_GT(json_of("gnomon info --json " + trace)["traces"][0]["references"], 1000);
}

TEST_F(Record, AFullDiskKeepsTheBlocksThatAreWhole) {
  const std::string trace = scratch_path("full.gtrace");
  // A limit on files fails as a full disk does: in units of 512 bytes, three or four blocks.
  const Finished f = run(
      "ulimit -f 450; gnomon record -q -o " + trace +
      " -- awk 'BEGIN { srand(1); for (i = 0; i < 60000; ++i) s += a[int(10000 * rand())]++ }'");
  EXPECT_EQ(f.status, 2);
  const std::string kept = trace + ".part";
  EXPECT_THAT(f.err, StartsWith("gnomon: " + trace + ": cannot write: File too large; the first "));
  EXPECT_THAT(f.err, HasSubstr(" references are in " + kept + "\n"));
  EXPECT_FALSE(std::filesystem::exists(trace));
  const json info = json_of("gnomon info --json " + kept)["traces"][0];
  EXPECT_THAT(absl::StrReplaceAll(f.err, {{",", ""}}),
              HasSubstr(absl::StrCat(" ", info["references"].get<uint64_t>(), " references")));
  EXPECT_GT(info["references"], 1'000'000);
  EXPECT_THAT(info["warning"].get<std::string>(), HasSubstr("cut short"));
}

/// Records a program in a directory of its own, and has SIGINT come right after the first of these
/// system calls of the recorder itself.
/// (LeakSanitizer does not work under strace.)
Finished interrupted_at(absl::string_view calls, absl::string_view program) {
  const std::string directory = scratch_path("at");
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  return run(absl::StrCat("cd ", directory, " && TMPDIR=", directory,
                          " ASAN_OPTIONS=detect_leaks=0 timeout -s KILL 60 env "
                          "--default-signal=INT strace -o /dev/null -e trace=",
                          calls, " -e inject=", calls, ":signal=SIGINT:when=1 '", GNOMON_TEST_TOOL,
                          "' record -q -o t.gtrace -- ", program, "\nstatus=$?\nls\nexit $status"));
}

TEST_F(Record, AnInterruptBeforeOrAfterTheProgramKeepsTheTraceToo) {
  if (run("strace -o /dev/null true").status != 0) GTEST_SKIP() << "strace does not work here";
  const Finished end = interrupted_at("?rmdir,?unlinkat", "true");
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_EQ(end.out, "t.gtrace\n");
  EXPECT_THAT(end.err, IsEmpty());
  const std::string trace = scratch_path("at") + "/t.gtrace";
  EXPECT_GT(json_of("gnomon info --json " + trace)["traces"][0]["references"], 10'000);

  // The program would run for ever.
  const Finished start = interrupted_at("?mkdir,?mkdirat", "sh -c 'while :; do :; done'");
  EXPECT_EQ(start.status, 0) << start.err;
  EXPECT_EQ(start.out, "t.gtrace\n");
  EXPECT_EQ(json_of("gnomon info --json " + trace)["traces"].size(), 1u);
}

}  // namespace
}  // namespace gnomon::cli_test

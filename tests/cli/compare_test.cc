// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gnomon/backend.h"
#include "gnomon/base/counters.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

std::string recording() {
  static const std::string path = scratch_file("small.lackey", small_recording());
  return path;
}

/// name -> value of one backend, from --csv.
std::map<std::string, std::string> csv_of(const std::string& arguments, absl::string_view backend) {
  const Finished f = run(absl::StrCat("gnomon compare ", arguments, " --csv -q"));
  EXPECT_EQ(f.status, 0) << f.err;
  std::map<std::string, std::string> values;
  for (const absl::string_view line : absl::StrSplit(f.out, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> cells = absl::StrSplit(line, ',');
    if (cells.size() == 5 && cells[0] == backend) {
      EXPECT_TRUE(values.emplace(cells[2], cells[4]).second) << cells[2] << " twice";
    }
  }
  return values;
}

TEST(Compare, TheTableHasThisShape) {
  const Finished f = run("gnomon compare -m native -t none -q " + recording());
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.err, IsEmpty());
  const std::string expected =
      absl::StrCat("trace   ", recording(),
                   ": N references ( N fetches, N loads, N stores)\n"
                   "guest N-level tables, NK pages on demand, NG of memory, N process\n"
                   "host    pages of NK, TLB none\n"
                   "\n"
                   "                           native\n"
                   "memory\n"
                   "  accesses N\n"
                   "TLB\n"
                   "  misses N\n"
                   "  misses per N N\n"
                   "page faults\n"
                   "  delivered to the guest N\n"
                   "memory references of page walks\n"
                   "  walks N\n"
                   "  guest tables N\n"
                   "  total N\n"
                   "  per walk N\n"
                   "the guest's own work\n"
                   "  pages mapped N\n"
                   "  table stores N\n"
                   "    to set entries N\n"
                   "    to clear new tables N\n"
                   "  table loads N\n"
                   "the VMM's work\n"
                   "  guest frames backed N\n"
                   "page-table bytes\n"
                   "  guest's N\n"
                   "\n");
  EXPECT_THAT(shape_of(f.out), StartsWith(shape_of(expected)));
}

TEST(Compare, CountsWhatTheRecordingHolds) {
  auto v = csv_of("-m native -t none " + recording(), "native");
  EXPECT_EQ(v["guest_faults"], "200");  // 150 + 49 pages of data and one of code
  EXPECT_EQ(v["accesses"], "3200");
  EXPECT_EQ(v["walks"], "3200");
  EXPECT_EQ(v["exits"], "0");
}

TEST(Compare, EveryCounterIsInExactlyOneRow) {
  const auto values = csv_of("-m native " + recording(), "native");
  for (const CounterInfo& row : counter_table()) {
    EXPECT_EQ(values.count(std::string(row.name)), 1u) << row.name;
  }
}

TEST(Compare, EveryBackendSeesTheSameGuest) {
  std::vector<std::string> names;
  for (const BackendInfo& b : backends()) {
    names.emplace_back(b.name);
  }
  const Finished f =
      run(absl::StrCat("gnomon compare --audit -q -t tiny --processes 3 --slice 100 -m ",
                       absl::StrJoin(names, ","), " ", recording()));
  EXPECT_EQ(f.status, 0) << f.out;
  for (const std::string& name : names) {
    EXPECT_THAT(f.out, HasSubstr(absl::StrCat("audit   ", name, ": sound, guest memory equal\n")));
  }
}

TEST(Compare, ReadsStandardInputAndFilesAlike) {
  const std::string by_name = run("gnomon compare -q --json " + recording()).out;
  const std::string from_pipe = run("cat " + recording() + " | gnomon compare -q --json -").out;
  const std::string named = absl::StrCat("\"name\": \"", recording(), "\"");
  ASSERT_THAT(by_name, HasSubstr(named));
  std::string renamed = by_name;
  renamed.replace(renamed.find(named), named.size(), "\"name\": \"standard input\"");
  EXPECT_EQ(renamed, from_pipe);
}

TEST(Compare, JsonIsOneDocument) {
  const Finished f =
      run("gnomon compare --json " + recording() +
          " | python3 -c 'import json, sys; d = json.load(sys.stdin); "
          "print(d[\"schema\"], d[\"kind\"], d[\"trace\"][\"references\"], "
          "len(d[\"backends\"]), d[\"backends\"][0][\"counters\"][\"guest_faults\"])'");
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.out, AllOf(StartsWith("1 compare 3000 "), EndsWith(" 200\n")));
}

TEST(Compare, WindowsAreInReferences) {
  auto v =
      csv_of("-m native -t none --skip 600 --warmup 1500 --limit 300 " + recording(), "native");
  EXPECT_EQ(v["accesses"], "300");
  EXPECT_EQ(v["guest_faults"], "0");
  EXPECT_EQ(run("gnomon compare --skip 3k " + recording()).status, 2);
}

TEST(Compare, OptionsOfBackendsMayHoldCommas) {
  const Finished f =
      run("gnomon compare -q -m 'native;nested:levels=5,max_page=4K' -m npt --csv " + recording());
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.out, AllOf(HasSubstr("\nnative,memory,accesses,"), HasSubstr("\nnpt,exits,"),
                           HasSubstr("\n\"nested:levels=5,max_page=4K\",walks,walks,walks,")));
}

TEST(Compare, IsDeterministic) {
  const std::string line = "gnomon compare -v --processes 2 --slice 50 " + recording();
  EXPECT_EQ(run(line).out, run(line).out);
}

TEST(Compare, NamesTheBadLine) {
  const std::string bad = scratch_file("bad.lackey", "I  1000,2\nnonsense\nI  1000,2\n");
  const Finished f = run("gnomon compare " + bad);
  EXPECT_EQ(f.status, 2);
  EXPECT_THAT(f.out, IsEmpty());
  EXPECT_EQ(f.err,
            absl::StrCat("gnomon: ", bad, ":2 (byte 10): not a lackey record: \"nonsense\"\n"));
  const Finished lenient = run("gnomon compare --lenient " + bad);
  EXPECT_EQ(lenient.status, 0);
  EXPECT_THAT(lenient.err, HasSubstr("warning: 1 lines that are no records were left out\n"));
}

TEST(Compare, WarnsOfACutRecording) {
  const std::string whole = small_recording();
  const std::string cut =
      scratch_file("cut.lackey", absl::string_view(whole).substr(0, whole.size() - 14));
  const Finished f = run("gnomon compare " + cut);
  EXPECT_EQ(f.status, 0);
  EXPECT_THAT(f.err, HasSubstr("warning: the last line of the recording is cut off\n"));
}

TEST(Compare, SaysWhenTheGuestIsTooSmall) {
  const Finished f = run("gnomon compare -m native --mem 64K " + recording());
  EXPECT_EQ(f.status, 2);
  EXPECT_THAT(f.err, AllOf(HasSubstr("native: record "), HasSubstr(": guest out of memory\n")));
}

struct Refused {
  std::string arguments;
  std::string message;
};

TEST(Compare, RefusesBadInputWithOneLine) {
  const std::string t = " " + recording();
  const Refused kCases[] = {
      {"", "gnomon: compare: TRACE is missing\n"},
      {"/nowhere", "gnomon: /nowhere: cannot open: No such file or directory\n"},
      {"/dev/null", "gnomon: /dev/null: no records in it (made with --trace-mem=yes?)\n"},
      {"--tbl zen4" + t, "gnomon: compare: unknown option '--tbl'; did you mean '--tlb'?\n"},
      {"--tlb zen99" + t, "gnomon: --tlb: "},
      {"--mmu shadw" + t, "gnomon: unknown backend \"shadw\": "},
      {"--mmu native,native" + t, "gnomon: --mmu: native is named twice\n"},
      {"--mmu nested:nonsense=1" + t, "gnomon: "},
      {"--mmu ''" + t, "gnomon: --mmu: no backend named\n"},
      {"--mem 1K" + t, "gnomon: --mem: not between 65536 and 68719476736\n"},
      {"--mem lots" + t, "gnomon: --mem: 'lots' is not a number\n"},
      {"--mem 99999999T" + t, "gnomon: --mem: '99999999T' is too large\n"},
      {"--host-page 8K" + t, "gnomon: --host-page: 4K, 2M or 1G\n"},
      {"--limit -1" + t, "gnomon: "},
      {"--processes 0" + t, "gnomon: --processes: not between 1 and 4096\n"},
      {"--json --csv" + t, "gnomon: --json and --csv exclude each other\n"},
      {"one two", "gnomon: compare: unexpected argument 'two'\n"},
      {t + " --mem", "gnomon: compare: "},
  };
  for (const Refused& refused : kCases) {
    const Finished f = run("gnomon compare " + refused.arguments);
    EXPECT_EQ(f.status, 2) << refused.arguments;
    EXPECT_THAT(f.out, IsEmpty()) << refused.arguments;
    EXPECT_THAT(f.err, StartsWith(refused.message)) << refused.arguments;
    EXPECT_EQ(std::count(f.err.begin(), f.err.end(), '\n'), 1) << f.err;
  }
}

TEST(Compare, SaysWhenTheResultCannotBeWritten) {
  const Finished full = run("gnomon compare -q " + recording() + " >/dev/full");
  EXPECT_EQ(full.status, 2);
  EXPECT_EQ(full.err, "gnomon: cannot write the result: No space left on device\n");
  const Finished gone = run("{ gnomon compare -q " + recording() + "; echo $? >&2; } | true");
  EXPECT_EQ(gone.err, "gnomon: cannot write the result: Broken pipe\n2\n");
}

TEST(Compare, ReplaysARecordingOfARealProgram) {
  if (run("command -v valgrind").status != 0) GTEST_SKIP() << "valgrind is not installed";
  const Finished f =
      run("valgrind --tool=lackey --trace-mem=yes --log-fd=9 /bin/true 9>&1 >/dev/null | "
          "gnomon compare -q --audit -");
  EXPECT_EQ(f.status, 0) << f.out << f.err;
  EXPECT_THAT(f.out, AllOf(HasSubstr("audit   native: sound"), HasSubstr("delivered to the guest"),
                           Not(HasSubstr("FAILED"))));
}

}  // namespace
}  // namespace gnomon::cli_test

// SPDX-License-Identifier: Apache-2.0
//
// Whatever is wrong: one line on standard error that starts with "gnomon: ", exit status 2, and
// nothing half-written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// Files that the cases name: @T a good trace, @G a good .gtrace, @CUT one that is cut off, @EMPTY,
/// @DIR a directory, @OUT a directory for what is written.
struct Files {
  std::vector<std::pair<std::string, std::string>> names;

  Files() {
    const std::string whole = scratch_path("whole.gtrace");
    const std::string cut = scratch_path("cut.gtrace");
    run(absl::StrCat("gnomon gen -q zipf,refs=2500k,bytes=4M,fetches=on ", whole));
    std::filesystem::copy_file(whole, cut, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(cut, std::filesystem::file_size(whole) * 2 / 3);
    std::filesystem::create_directories(scratch_path("dir"));
    std::filesystem::create_directories(scratch_path("written"));
    const std::string deep(100'000, '[');
    names = {{"@T", small_trace()},
             {"@G", whole},
             {"@CUT", cut},
             {"@EMPTY", scratch_file("empty", "")},
             {"@DIR", scratch_path("dir")},
             {"@OUT", scratch_path("written")},
             {"@LINES", scratch_file("text.lackey", "I  1000,2\nnonsense\x1b[2J\nI  1000,2\n")},
             {"@ZERO", scratch_file("zero.csv", "op,address,size\nload,0x1000,0\n")},
             {"@FAR", scratch_file("far.csv", "op,address,size\nload,0x8000000000000000,8\n")},
             {"@HUGE", scratch_file("huge.csv", "op,address,size\nload,0x1000,99999999\n")},
             {"@DEEP", scratch_file("deep.json", absl::StrCat("{\"guest\":", deep, "}"))},
             {"@NOKEY", scratch_file("nokey.json", R"({"tbl": "zen4"})")},
             {"@NOWORD", scratch_file("noword.json", R"({"roi": 1})")},
             {"@NAMES", scratch_file("traces.json", R"({"trace": "x"})")},
             {"@NEST", scratch_file("nest.json", R"({"price": {"exit": {"a": 1}}})")}};
  }
};

std::string filled(absl::string_view text) {
  static const Files files;
  std::string result(text);
  for (const auto& [name, path] : files.names) result = absl::StrReplaceAll(result, {{name, path}});
  return result;
}

struct Refused {
  absl::string_view arguments;
  absl::string_view message;  ///< a part of it
};

constexpr Refused kRefused[] = {
    // The command line itself.
    {"", "no verb"},
    {"compaer x", "unknown verb 'compaer'; did you mean 'compare'?"},
    {"xyzzyplugh", "unknown verb 'xyzzyplugh'; `gnomon --help` lists them"},
    {"help compaer", "did you mean 'compare'?"},
    {"counters extra", "counters: unexpected argument 'extra'"},
    {"counters --jsn", "unknown option '--jsn'; did you mean '--json'?"},
    {"compare", "compare: TRACE is missing"},
    {"compare ''", "TRACE is empty"},
    {"compare @T --tbl zen4", "unknown option '--tbl'; did you mean '--tlb'?"},
    {"compare @T -x", "unknown option '-x'; `gnomon compare --help` lists them"},
    {"compare @T --mem", "--mem needs a value: --mem SIZE"},
    {"compare @T -t", "--tlb needs a value: --tlb PRESET"},
    {"compare @T --json=1", "--json takes no value"},
    {"compare @T --audit=yes", "--audit takes no value"},
    {"compare @T --json --csv", "--json and --csv exclude each other"},
    {"compare - -", "standard input (-) is named twice"},
    {"compare - @T --each --sweep tlb=zen4,skylake", "standard input can be read only once"},
    {"compare - --sweep slice=1,2", "standard input can be read only once"},
    {"compare - --copies 2", "standard input can be read only once"},
    {"convert", "INPUT is missing"},
    {"convert @T", "OUTPUT is missing"},
    {"convert @T a.gtrace b", "unexpected argument 'b'"},
    {"config", "ACTION is missing"},
    {"config set", "no action 'set'"},
    {"completion", "SHELL is missing"},
    {"completion tcsh", "no shell 'tcsh'; there are bash, zsh and fish"},
    {"man --json", "unknown option '--json'"},
    {"record", "PROGRAM is missing"},
    {"record ls -l", "put -- before the program"},
    // Values.
    {"compare @T --mmu shadw", "--mmu: unknown backend 'shadw'; did you mean 'shadow'?"},
    {"compare @T --mmu xyzzyplugh", "there are native, shadow"},
    {"compare @T --mmu native,native", "--mmu: native is named twice"},
    {"compare @T --mmu nested:nonsense=1", "nonsense"},
    {"compare @T --mmu ''", "--mmu: the value is empty"},
    {"compare @T --mmu ,", "--mmu: no backend named"},
    {"compare @T --tlb zen99", "--tlb: no TLB preset \"zen99\""},
    {"compare @T --caches zen99", "--caches: no cache preset"},
    {"compare @T --cost vtz", "--cost: no cost preset"},
    {"compare @T --price foo=1", "--price: no price \"foo\""},
    {"compare @T --price exit", "--price: exit"},
    {"compare @T --price exit=-1", "--price: exit=-1"},
    {"compare @T --price exit=nan", "--price: exit=nan"},
    {"compare @T --mem 1K", "--mem: not between 64K and 64G"},
    {"compare @T --mem lots", "--mem: 'lots' is not a number"},
    {"compare @T --mem -1", "--mem: '-1' is not a number"},
    {"compare @T --mem 99999999T", "--mem: '99999999T' is too large"},
    {"compare @T --host-page 8K", "--host-page: '8K' is none of 4K, 2M and 1G"},
    {"compare @T --vcpus 0", "--vcpus: not between 1 and"},
    {"compare @T --vcpus 1M", "--vcpus: not between 1 and"},
    {"compare @T --guest foo=1", "--guest: unknown option \"foo\""},
    {"compare @T --guest thp", "--guest: option \"thp\""},
    {"compare @T --guest thp=maybe", "--guest: option thp=maybe"},
    {"compare @T --tick x", "--tick: 'x' is not a number"},
    {"compare @T --copies 0", "--copies: not between 1 and 4096"},
    {"compare @T --slice 0", "--slice: at least 1"},
    {"compare @T --skip 1.5", "--skip: '1.5' is not a number"},
    {"compare @T --skip 99999999999999999999", "--skip: "},
    {"compare @T --skip 1G", "nothing left to count"},
    {"compare @T --warmup 1G", "nothing left to count"},
    {"compare @T --limit -1", "--limit: '-1' is not a number"},
    {"compare @T --roi", "no region of interest is marked"},
    {"compare @T --format lacky", "--format: no trace format \"lacky\""},
    {"compare @T --jobs 257", "--jobs: not between 0 and 256"},
    {"compare @T --sweep foo=1", "--sweep: no setting 'foo'; there are "},
    {"compare @T --sweep slize=1,2", "--sweep: no setting 'slize'; did you mean 'slice'?"},
    {"compare @T --sweep jobs=1,2", "--sweep: no setting 'jobs'"},
    {"compare @T --sweep guest.foo=1", "--guest: unknown option"},
    {"compare @T --sweep slice", "is not KEY=A,B,C"},
    {"compare @T --sweep slice=", "is not KEY=A,B,C"},
    {"compare @T --sweep slice=1,,2", "--slice: '' is not a number"},
    {"compare @T --sweep slice=1 --sweep slice=2", "slice is swept twice"},
    {"compare @T --export-trace x", "of one backend and one replay"},
    {"replay @T --export-guest x --sweep slice=1,2", "of one backend and one replay"},
    {"convert @T @OUT/a.gtrace --level 23", "--level: not between 1 and 22"},
    {"convert @T @OUT/a.xyz", "which format?"},
    {"convert @T @OUT/a.ptrc", "is read, but not written"},
    {"convert @T @OUT/a.csv --to foo", "--to: no trace format \"foo\""},
    {"convert @T - --json", "cannot both go to standard output"},
    {"convert @T @OUT/a.csv --from csv", "small.lackey"},
    {"gen zpf @OUT/a.gtrace", "did you mean zipf?"},
    {"gen zipf,foo=1 @OUT/a.gtrace", "unknown option \"foo\""},
    {"gen zipf,bytes=0 @OUT/a.gtrace", "bytes=0"},
    {"gen zipf,bytes=99999T @OUT/a.gtrace", "bytes=99999T"},
    {"gen zipf,refs=99999999999999999999 @OUT/a.gtrace", "refs=99999999999999999999"},
    {"record --level 0 -- true", "--level: not between 1 and 22"},
    {"record --limit x -- true", "--limit: 'x' is not a number"},
    {"record -o @OUT/a.xyz -- true", "which format?"},
    {"record -o @OUT/a.gtrace -- no-such-program", "no such program"},
    {"record -o - --json -- true", "cannot both go to standard output"},
    // Files.
    {"compare @OUT/nothing", "cannot open: No such file or directory"},
    {"compare @DIR", "Is a directory"},
    {"compare @EMPTY", "empty"},
    {"compare @LINES", "line 2 (byte 10)"},
    {"compare @ZERO", "zero.csv"},
    {"compare @FAR", "far.csv"},
    {"compare @HUGE", "huge.csv"},
    {"compare @CUT -q --mmu native", "cut.gtrace: block "},
    {"info @CUT", "(byte "},
    {"convert @CUT @OUT/a.csv", "the file ends within it"},
    {"info @T @OUT/nothing", "No such file or directory"},
    {"info - -", "standard input (-) is named twice"},
    {"compare @T --config @OUT/nothing", "cannot open: No such file or directory"},
    {"compare @T --config @DIR", "cannot read: Is a directory"},
    {"compare @T --config @EMPTY", "is not a JSON object"},
    {"compare @T --config @T", "is not a JSON object"},
    {"compare @T --config /dev/zero", "larger than 1 MiB"},
    {"compare @T --config @DEEP", "gnomon: --config: "},
    {"compare @T --config @NOKEY", "no setting 'tbl'; did you mean 'tlb'?"},
    {"compare @T --config @NOWORD", "'roi' is neither true nor false"},
    {"compare @T --config @NAMES", "traces are named on the command line"},
    {"compare @T --config @NEST", "'price.exit' is neither"},
    // Where nothing can be written.
    {"convert @T @DIR --to csv", "Is a directory"},
    {"convert @T @OUT/no/a.gtrace", "No such file or directory"},
    {"convert @T /dev/full --to gtrace", "/dev/full: cannot write: No space left on device"},
    {"convert @T /dev/full --to csv", "/dev/full: cannot write: No space left on device"},
    {"gen zipf,refs=1k /dev/full --to lackey", "No space left on device"},
    {"compare @T --export-html @DIR", "Is a directory"},
    {"compare @T --export-json @OUT/no/a.json", "No such file or directory"},
    {"compare @T --export-json /dev/full", "/dev/full: cannot write: No space left on device"},
    {"compare @T --export-csv /dev/full", "No space left on device"},
    {"compare @T --export-html /dev/full", "No space left on device"},
    {"replay @T --export-trace /dev/full", "No space left on device"},
    {"replay @T --export-guest /dev/full", "No space left on device"},
    {"compare @T >/dev/full", "cannot write the result: No space left on device"},
    {"compare @T --json >/dev/full", "cannot write the result: No space left on device"},
    {"convert @T - --to csv >/dev/full", "No space left on device"},
    {"info @T >/dev/full", "cannot write the result"},
    {"config show >/dev/full", "cannot write the result"},
    {"counters >/dev/full", "cannot write the result"},
    {"help >/dev/full", "cannot write the result"},
    {"man >/dev/full", "cannot write the result"},
    {"completion bash >/dev/full", "cannot write the result"},
    {"compare --help >/dev/full", "cannot write the result"},
};

TEST(BadInput, IsOneLineAndStatusTwo) {
  for (const Refused& refused : kRefused) {
    const Finished f = run(absl::StrCat("gnomon ", filled(refused.arguments), " </dev/null"));
    EXPECT_EQ(f.status, 2) << refused.arguments;
    EXPECT_THAT(f.out, IsEmpty()) << refused.arguments;
    EXPECT_THAT(f.err, AllOf(StartsWith("gnomon: "), HasSubstr(std::string(refused.message))))
        << refused.arguments;
    EXPECT_EQ(std::count(f.err.begin(), f.err.end(), '\n'), 1) << refused.arguments << "\n"
                                                               << f.err;
    EXPECT_EQ(f.err.find('\x1b'), std::string::npos) << refused.arguments;
    EXPECT_TRUE(std::filesystem::is_empty(filled("@OUT"))) << refused.arguments;
  }
}

TEST(BadInput, WhatWasThereBeforeStaysWhenWritingFails) {
  const std::string kept = scratch_file("kept.csv", "precious");
  EXPECT_EQ(run(absl::StrCat("gnomon convert ", filled("@CUT "), kept)).status, 2);
  EXPECT_EQ(run("cat " + kept).out, "precious");
}

TEST(BadInput, AnUnwritableDirectoryIsNamed) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const std::string directory = scratch_path("locked");
  std::filesystem::create_directories(directory);
  std::filesystem::permissions(directory, std::filesystem::perms::owner_read);
  const Finished f = run(absl::StrCat("gnomon gen -q zipf,refs=1k ", directory, "/a.gtrace"));
  EXPECT_EQ(f.status, 2);
  EXPECT_THAT(f.err, HasSubstr("Permission denied"));
}

TEST(BadInput, AReaderThatGoesAwayIsSaid) {
  const Finished f = run("{ gnomon compare -q " + small_trace() + "; echo $? >&2; } | true");
  EXPECT_EQ(f.err, "gnomon: cannot write the result: Broken pipe\n2\n");
}

TEST(BadInput, LenientLeavesItOutAndWarns) {
  const Finished cut = run(filled("gnomon compare -q -m native --lenient @CUT"));
  EXPECT_EQ(cut.status, 0) << cut.err;
  EXPECT_THAT(cut.err, StartsWith("gnomon: warning: "));
  const Finished text = run(filled("gnomon compare -q -m native --lenient @LINES"));
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.err, HasSubstr("warning: "));
  EXPECT_EQ(text.err.find('\x1b'), std::string::npos);
  const nlohmann::json info = json_of(filled("gnomon info --json --lenient @CUT"));
  EXPECT_GT(info["traces"][0]["references"], 0);
}

TEST(BadInput, AbsurdAddressesAndSizesOfATraceAreReplayedOrRefused) {
  const std::string text =
      "I  ffffffffffffffff,1\n L fffffffffffffff8,8\n S 00007ffffffffff8,8\n L "
      "0000000000000000,1\n";
  const Finished f = run("gnomon compare -q " + scratch_file("edge.lackey", text));
  EXPECT_TRUE(f.status == 0 || f.status == 2) << f.status;
  if (f.status != 0) EXPECT_THAT(f.err, StartsWith("gnomon: "));
}

}  // namespace
}  // namespace gnomon::cli_test

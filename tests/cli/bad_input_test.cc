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

/// Files that the cases name: @T a good trace, @LINK a link to it, @G a good .gtrace, @CUT one that
/// is cut off, @EMPTY,
/// @DIR a directory, @OUT a directory for what is written.
struct Files {
  std::vector<std::pair<std::string, std::string>> names;

  static constexpr absl::string_view kHeader =
      "op,address,size,process,thread,flags,length,value,extra,file,text\n";

  /// Each process forks, and so do its children, up to the process limit and beyond.
  static std::string fork_bomb() {
    std::string rows(kHeader);
    absl::StrAppend(&rows, "map,0x10000,,,,3,0x10000\nS,0x10000,8\n");
    for (int child = 1; child < 20'000; ++child) {
      absl::StrAppend(&rows, "fork,,,", (child - 1) / 2, ",,,,", child, "\n");
    }
    return rows;
  }

  Files() {
    const std::string whole = scratch_path("whole.gtrace");
    const std::string cut = scratch_path("cut.gtrace");
    run(absl::StrCat("gnomon gen -q zipf,refs=2500k,bytes=4M,fetches=on ", whole));
    std::filesystem::copy_file(whole, cut, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(cut, std::filesystem::file_size(whole) * 2 / 3);
    std::filesystem::create_directories(scratch_path("dir"));
    std::filesystem::create_directories(scratch_path("written"));
    const std::string link = scratch_path("link.lackey");
    std::filesystem::remove(link);
    std::filesystem::create_symlink(small_trace(), link);
    const std::string deep(100'000, '[');
    names = {
        {"@T", small_trace()},
        {"@G", whole},
        {"@LINK", link},
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
        {"@FORKS", scratch_file("forks.csv", fork_bomb())},
        {"@MAPZERO",
         scratch_file("zeromap.csv", absl::StrCat(kHeader, "L,0x1000,8\nmap,0x10000,,,,3,0\n"))},
        {"@MAPHUGE", scratch_file("hugemap.csv",
                                  absl::StrCat(kHeader, "map,0x10000,,,,3,0x1000000000000000\n"))},
        {"@KERNEL",
         scratch_file("kernel.csv", absl::StrCat(kHeader, "L,0x1000,8\nS,0xffff888000000000,8\n"))},
        {"@NOWHERE", scratch_file("nowhere.lackey", " L 1000,8\n L 800000000000,8\n")},
        {"@EXITS", scratch_file("exits.csv", absl::StrCat(kHeader, "fork,,,0,,,,0\nL,0x1000,8\n"))},
        {"@BADROWS", scratch_file("badrows.csv", "op,address,size\nX,1,1\nL,here,8\nL,0x1000,0\n")},
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
    {"compare @T --audit=", "--audit takes no value"},
    {"compare --limit= @T", "--limit: the value is empty"},
    {"replay --export-json= @T @T", "--export-json: the value is empty"},
    {"compare @T --json --csv", "--json and --csv exclude each other"},
    {"compare - -", "standard input (-) is named twice"},
    {"compare - @T --each --sweep tlb=zen4,skylake", "standard input can be read only once"},
    {"compare @T --sweep 'mmu=;,'", "--sweep: \"mmu=;,\" names no backend"},
    {"compare - --sweep slice=1,2", "standard input can be read only once"},
    {"compare - --copies 2", "standard input can be read only once"},
    {"compare @T --copies 257 --slice 4M --slice 4000001 --jobs 1",
     "--copies: with a --slice above 4,000,000 every copy reads for itself, and 257 readings"},
    {"compare @T --copies 200 --sweep slice=1k,5M --jobs 2",
     "and 400 readings at once are more than 256"},
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
    {"replay @T --export-json @T", "small.lackey is a trace that is replayed"},
    {"replay @LINK --export-csv @T", "--export-csv: "},  // whatever the way to it
    {"compare @T --export-html @OUT/a --export-csv @OUT/./a",
     "--export-html and --export-csv name the same file"},
    {"compare @T --export-json -", "--export-json: standard output is for the result"},
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
    // Well formed, but nothing that a guest's kernel takes.
    {"compare -q --mem 16M @FORKS", "fork: guest memory is full"},
    {"compare -q --guest max_processes=500 @FORKS",
     "forks.csv: record 502 (before reference 2, line 503): fork: 500 processes are alive already"},
    {"compare -q --lenient --guest max_processes=500 @FORKS", "500 processes are alive already"},
    {"compare -q @MAPZERO",
     "zeromap.csv: record 2 (before reference 2, line 3): map: the length is 0"},
    {"compare -q --jobs 2 @MAPHUGE",
     "hugemap.csv: record 1 (before reference 1, line 2): map: 0x1000000000000000"},
    {"compare -q @KERNEL",
     "kernel.csv: record 2 (reference 2, line 3): user write of 8 bytes at 0xffff888000000000"},
    {"compare -q @NOWHERE", "nowhere.lackey: record 2 (reference 2, line 2): user read of 8 bytes"},
    {"compare -q @EXITS",
     "exits.csv: record 1 (before reference 1, line 2): fork: process 0 exists already"},
    {"compare -q --lenient @MAPHUGE",
     "no memory operations in it; 1 rejected by the guest, the first: record 1"},
    {"compare -q --lenient @BADROWS",
     "no memory operations in it; 3 left out, the first: line 2 (byte 16): "},
    {"compare @CUT -q --mmu native", "cut.gtrace: block "},
    {"info @CUT", "(byte "},
    {"convert @CUT @OUT/a.csv",
     "the file ends within it; --lenient uses the blocks that are whole"},
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

TEST(BadInput, LenientLeavesItOutAndWarns) {
  const Finished cut = run(filled("gnomon compare -q -m native --lenient @CUT"));
  EXPECT_EQ(cut.status, 0) << cut.err;
  EXPECT_THAT(cut.err, StartsWith("gnomon: warning: "));
  EXPECT_THAT(cut.err, HasSubstr("1 left out; the first: block "));
  const Finished text = run(filled("gnomon compare -q -m native --lenient @LINES"));
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.err, HasSubstr("warning: "));
  EXPECT_EQ(text.err.find('\x1b'), std::string::npos);
  const nlohmann::json info = json_of(filled("gnomon info --json --lenient @CUT"));
  EXPECT_GT(info["traces"][0]["references"], 0);
}

TEST(BadInput, LenientCountsWhatTheGuestRejects) {
  for (const absl::string_view jobs : {"1", "3"}) {
    for (const absl::string_view file : {"@MAPZERO", "@KERNEL", "@NOWHERE", "@EXITS"}) {
      const std::string command =
          filled(absl::StrCat("gnomon compare -q --lenient --json --jobs ", jobs, " ", file));
      const Finished f = run(command);
      EXPECT_EQ(f.status, 0) << f.err;
      EXPECT_THAT(f.err, AllOf(StartsWith("gnomon: warning: "),
                               HasSubstr(": 1 rejected by the guest; the first: record ")));
      EXPECT_EQ(std::count(f.err.begin(), f.err.end(), '\n'), 1) << f.err;
      const nlohmann::json document = json_of(command + " 2>/dev/null");
      EXPECT_EQ(document["traces"][0]["rejected"], 1);
      EXPECT_EQ(document["traces"][0]["left_out"], 0);
      EXPECT_THAT(std::string(document["traces"][0]["first_rejected"]), StartsWith("record "));
      EXPECT_EQ(document["references"]["load"], 1);
      EXPECT_EQ(document["references"]["store"], 0);
    }
  }
}

TEST(BadInput, DamagedCompressionGivesWhatComesBefore) {
  const std::string good = scratch_path("packed.csv");
  run(absl::StrCat("gnomon gen -q uniform,refs=20k,bytes=64M ", good));
  for (const absl::string_view packer : {"gzip", "xz", "zstd", "bzip2"}) {
    const std::string packed = scratch_path(absl::StrCat("cut.", packer));
    if (run(absl::StrCat(packer, " -c ", good, " >", packed)).status != 0)
      continue;  // not installed
    std::filesystem::resize_file(packed, std::filesystem::file_size(packed) - 5);
    const Finished strict = run("gnomon compare -q -m native " + packed);
    EXPECT_EQ(strict.status, 2);
    EXPECT_THAT(strict.err,
                AllOf(HasSubstr(": byte "),
                      HasSubstr(absl::StrCat("the ", packer, " data are cut off; --lenient"))));
    const nlohmann::json info = json_of(absl::StrCat("gnomon info --json --lenient ", packed));
    EXPECT_EQ(info["traces"][0]["left_out"], 1) << packer;
    EXPECT_GT(info["traces"][0]["references"], 0) << packer;
  }
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

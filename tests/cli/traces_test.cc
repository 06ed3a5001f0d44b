// SPDX-License-Identifier: Apache-2.0
//
// `gen`, `convert`, `info`, `formats`: traces in and out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/formats.h"
#include "gnomon/traces/generators.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// What `info` says of a trace, without what differs between formats and files.
json contents(const std::string& path, absl::string_view options = "") {
  json trace = json_of(absl::StrCat("gnomon info -q --json ", options, " ", path))["traces"][0];
  for (const char* key : {"name", "format", "program", "recorder", "machine", "note", "bytes"}) {
    trace.erase(key);
  }
  return trace;
}

std::string forked() {
  static const std::string path = [] {
    std::string p = scratch_path("fork.gtrace");
    EXPECT_EQ(run("gnomon gen -q fork,refs=30k,bytes=256K " + p).status, 0);
    return p;
  }();
  return path;
}

TEST(Convert, GtraceAndCsvHoldEverything) {
  const std::string csv = scratch_path("fork.csv");
  const std::string again = scratch_path("again.gtrace");
  ASSERT_EQ(run("gnomon convert -q " + forked() + " " + csv).status, 0);
  ASSERT_EQ(run("gnomon convert -q " + csv + " " + again).status, 0);
  const json before = contents(forked());
  EXPECT_GT(before["events"]["fork"], 0);
  EXPECT_EQ(contents(csv), before);
  EXPECT_EQ(contents(again), before);
}

TEST(Convert, EveryWrittenFormatIsReadBack) {
  const std::string plain = scratch_path("plain.gtrace");
  ASSERT_EQ(run("gnomon gen -q uniform,refs=5k,bytes=1M,writes=40 " + plain).status, 0);
  const json before = contents(plain);
  for (const TraceFormat& format : trace_formats()) {
    if (format.write == nullptr) continue;
    const std::string file = scratch_path(absl::StrCat("plain", format.suffix));
    const Finished f = run(absl::StrCat("gnomon convert -q ", plain, " ", file));
    ASSERT_EQ(f.status, 0) << format.name << ": " << f.err;
    const std::string option = absl::StrCat("--format ", format.name);
    const json after = contents(file, option);
    EXPECT_EQ(after["records"]["loads"], before["records"]["loads"]) << format.name;
    EXPECT_EQ(after["records"]["stores"], before["records"]["stores"]) << format.name;
    const std::string back = scratch_path(absl::StrCat("back-", format.name, ".gtrace"));
    EXPECT_EQ(
        run(absl::StrCat("gnomon convert -q --from ", format.name, " ", file, " ", back)).status,
        0);
    EXPECT_EQ(contents(back)["records"]["loads"], before["records"]["loads"]) << format.name;
  }
}

TEST(Convert, SaysWhatItDid) {
  const std::string out = scratch_path("said.gtrace");
  const Finished f = run("gnomon convert " + small_trace() + " " + out);
  EXPECT_EQ(f.status, 0);
  EXPECT_THAT(f.out, IsEmpty());
  EXPECT_THAT(f.err, StartsWith(absl::StrCat("gnomon: ", out, ": 3,000 references and ")));
  const json d = json_of("gnomon convert --json " + small_trace() + " " + out);
  EXPECT_EQ(d["schema"], "gnomon.convert/1");
  EXPECT_EQ(d["references"], 3000);
  EXPECT_EQ(d["output"], out);
  for (const char* key : {"events", "bytes", "left_out_reading", "left_out_writing"}) {
    EXPECT_TRUE(d.contains(key)) << key;
  }
}

TEST(Convert, WindowsAndPipes) {
  const Finished f =
      run("cat " + small_trace() + " | gnomon convert -q - - --to csv --skip 10 --limit 5");
  EXPECT_EQ(f.status, 0) << f.err;
  const std::string part = scratch_file("part.csv", f.out);
  EXPECT_EQ(contents(part)["references"], 5);
  const Finished none = run("gnomon convert " + small_trace() + " " + scratch_path("none.gtrace") +
                            " --skip 18446744073709551615 --limit 7");
  EXPECT_EQ(none.status, 0);
  EXPECT_THAT(none.err, HasSubstr("warning: no references"));
}

TEST(Convert, CompressedInputIsRecognized) {
  for (const char* tool : {"gzip", "xz", "bzip2", "zstd"}) {
    if (run(absl::StrCat("command -v ", tool)).status != 0) continue;
    const std::string packed = scratch_path(absl::StrCat("small.lackey.", tool));
    ASSERT_EQ(run(absl::StrCat(tool, " -c <", small_trace(), " >", packed)).status, 0);
    EXPECT_EQ(contents(packed), contents(small_trace())) << tool;
  }
}

TEST(Convert, ASuffixOfCompressionCompresses) {
  const json before = contents(forked());
  const std::string plain = scratch_path("packed.csv");
  ASSERT_EQ(run("gnomon convert -q " + forked() + " " + plain).status, 0);
  const struct {
    const char* suffix;
    const char* unpack;
  } cases[] = {{".gz", "gzip"}, {".xz", "xz"}, {".zst", "zstd"}, {".bz2", "bzip2"}};
  for (const auto& [suffix, unpack] : cases) {
    const std::string packed = plain + suffix;
    const json d = json_of("gnomon convert --json " + forked() + " " + packed);
    EXPECT_EQ(d["bytes"], std::filesystem::file_size(packed)) << suffix;
    EXPECT_LT(2 * std::filesystem::file_size(packed), std::filesystem::file_size(plain)) << suffix;
    EXPECT_EQ(contents(packed), before) << suffix;
    // No date and no name in it: the same bytes each time.
    const std::string again = scratch_path("again.csv") + suffix;
    ASSERT_EQ(run("gnomon convert -q " + forked() + " " + again).status, 0);
    EXPECT_EQ(run("cmp " + packed + " " + again).status, 0) << suffix;
    if (run(absl::StrCat("command -v ", unpack)).status != 0) continue;
    EXPECT_EQ(run(absl::StrCat(unpack, " -dc <", packed, " | cmp - ", plain)).out, "") << suffix;
  }
  const Finished binary =
      run("gnomon convert -q " + forked() + " " + scratch_path("a.champsim.xz"));
  EXPECT_EQ(binary.status, 0) << binary.err;
  EXPECT_EQ(run("gnomon convert -q " + forked() + " /dev/full --to csv").status, 2);
  EXPECT_THAT(run("gnomon convert " + forked() + " " + scratch_path("a.gz")).err,
              HasSubstr("which format?"));
}

TEST(Convert, WhereATraceCameFromIsSaidOnce) {
  std::string from = small_trace();
  for (int round = 0; round < 3; ++round) {
    for (const char* suffix : {".gtrace", ".csv"}) {
      const std::string to = scratch_path(absl::StrCat("round", round, suffix));
      ASSERT_EQ(run("gnomon convert -q " + from + " " + to).status, 0);
      from = to;
      EXPECT_EQ(json_of("gnomon info --json " + to)["traces"][0]["note"], "converted from lackey");
    }
  }
}

TEST(Convert, ATraceReplacesItself) {
  const std::string path = scratch_path("self.gtrace");
  ASSERT_EQ(run("gnomon convert -q " + small_trace() + " " + path).status, 0);
  const json before = contents(path);
  ASSERT_EQ(run("gnomon convert -q --level 19 " + path + " " + path).status, 0);
  EXPECT_EQ(contents(path), before);
}

TEST(Convert, WordsAfterTheDashesAreFiles) {
  const std::string directory = scratch_path("dashes");
  const Finished f =
      run("mkdir -p " + directory + " && cd " + directory + " && gnomon convert -q --to csv -- " +
          small_trace() + " -odd && head -c 2 ./-odd");
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_EQ(f.out, "op");
}

TEST(Gen, IsTheSameEveryTimeAndWithoutAFile) {
  for (const GeneratorInfo& g : generators()) {
    const std::string pattern = absl::StrCat(g.name, ",refs=2k");
    const Finished once = run(absl::StrCat("gnomon gen -q ", pattern, " - --to csv"));
    EXPECT_EQ(once.status, 0) << g.name << ": " << once.err;
    EXPECT_EQ(once.out, run(absl::StrCat("gnomon gen -q ", pattern, " - --to csv")).out) << g.name;
    const json direct = contents("gen:" + pattern);
    EXPECT_EQ(contents(scratch_file("gen.csv", once.out)), direct) << g.name;
    EXPECT_GE(direct["references"], 2000) << g.name;
  }
}

TEST(Gen, ListsItsPatterns) {
  const Finished f = run("gnomon gen");
  const json d = json_of("gnomon gen --json");
  EXPECT_EQ(d["schema"], "gnomon.generators/1");
  EXPECT_EQ(d["common_keys"], std::string(kCommonGeneratorKeys));
  EXPECT_NE(run("gnomon gen").out.find(d["common_keys"].get<std::string>()), std::string::npos);
  ASSERT_EQ(d["generators"].size(), generators().size());
  for (const GeneratorInfo& g : generators()) {
    EXPECT_THAT(f.out, HasSubstr(absl::StrCat(g.name, " "))) << g.name;
  }
}

TEST(Info, SaysWhatIsInATrace) {
  const Finished f = run("gnomon info " + small_trace() + " " + forked());
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.out, HasSubstr("format         lackey"));
  EXPECT_THAT(f.out, HasSubstr("references     3,000\n"));
  EXPECT_THAT(f.out, HasSubstr("event fork"));
  const json d = json_of("gnomon info --json " + small_trace());
  EXPECT_EQ(d["schema"], "gnomon.info/1");
  for (const char* key :
       {"name", "format", "program", "recorder", "machine", "note", "physical", "whole_guest",
        "bytes", "references", "records", "supervisor", "processes", "threads", "pages",
        "pages_complete", "events", "left_out", "warning"}) {
    EXPECT_TRUE(d["traces"][0].contains(key)) << key;
  }
  EXPECT_EQ(d["traces"][0]["pages"], 200);
}

TEST(Formats, AllAreListed) {
  const Finished f = run("gnomon formats");
  const json d = json_of("gnomon formats --json");
  EXPECT_EQ(d["schema"], "gnomon.formats/1");
  ASSERT_EQ(d["formats"].size(), trace_formats().size());
  for (const TraceFormat& format : trace_formats()) {
    EXPECT_THAT(f.out, HasSubstr(std::string(format.description)));
  }
}

}  // namespace
}  // namespace gnomon::cli_test

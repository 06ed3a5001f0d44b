// SPDX-License-Identifier: Apache-2.0
//
// A bad value for every option of every verb that has one: the message names the option. And the
// second way to name an output.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr absl::string_view kTooLong = "99999999999999999999999";

/// Values that each option refuses. NOWHERE is a file in a directory that is not there.
const std::map<std::string, std::vector<std::string>>& bad_values() {
  const std::string huge(kTooLong);
  const std::vector<std::string> counts = {"x", "-1", "1.5", "1e5", "0x", "''", huge, "0x" + huge};
  static const std::map<std::string, std::vector<std::string>> values = {
      {"--mmu",
       {"shadw", "shadow:foo=1", "shadow:unsync=maybe", "'native;shadow:prefetch=x'", ",",
        "native:a=1", "nested:levels=6", "native,native"}},
      {"--tlb", {"nosuch", "''", "zen4,zen3"}},
      {"--caches", {"nosuch", "''"}},
      {"--cost", {"nosuch", "''"}},
      {"--price", {"exit", "exit=", "exit=x", "exit=-1", "nosuch=1", "=1", "''"}},
      {"--mem", {"x", "1K", "1000T", huge, huge + "G", "-1", "''"}},
      {"--host-page", {"8K", "x", "4K,2M", huge, "''"}},
      {"--vcpus", {"0", "65", "x", "1.5", huge, "''"}},
      {"--guest", {"nosuch=1", "thp", "thp=maybe", "seed=x", "seed=" + huge, "''"}},
      {"--tick", counts},
      {"--copies", {"0", "4097", "x", huge, "''"}},
      {"--slice", {"0", "x", huge, "''"}},
      {"--skip", counts},
      {"--warmup", counts},
      {"--limit", counts},
      {"--format", {"lacky", "''"}},
      {"--config", {"NOWHERE", "/dev/null", "''"}},
      {"--sweep",
       {"slice", "slice=", "nosuch=1", "slice=1,x", "tlb=nosuch", "price.exit=x", "price.nosuch=1",
        "guest.thp=maybe", "guest.nosuch=1", "mmu=shadow:foo=1", "mem=1K", "slice=1,,2", "config=a",
        "''"}},
      {"--jobs", {"257", "x", "-1", huge, "''"}},
      {"--export-html", {"NOWHERE", "/", "''"}},
      {"--export-json", {"NOWHERE", "/", "''"}},
      {"--export-csv", {"NOWHERE", "/", "''"}},
      {"--export-trace", {"NOWHERE", "/", "''"}},
      {"--export-guest", {"NOWHERE", "/", "''"}},
      {"--output", {"''"}},
      {"--to", {"nosuch", "gem5", "''"}},
      {"--from", {"nosuch", "''"}},
      {"--level", {"0", "23", "x", huge, "''"}},
      {"--note", {"''"}},
      {"--append", {"''"}},
      {"--module", {"''", "NOWHERE"}},
      {"--disk", {"''", "NOWHERE"}},
      {"--cpus", {"0", "65", "x", "1.5", huge, "''"}},
      {"--board", {"nosuch", "''"}},
      {"--events", {"NOWHERE", "''"}},
      {"--record", {"NOWHERE", "''"}},
      {"--input", {"NOWHERE", "''"}},
      {"--gdb", {"x", "65536", "-1", huge, "''"}},
      {"--gdb-registers", {"nosuch", "''"}},
      {"--monitor", {"''"}},
  };
  return values;
}

/// A command line of a verb that lacks nothing but the option.
std::string complete(const std::string& verb) {
  const std::string out = scratch_path("values.csv");
  if (verb == "convert") return absl::StrCat("convert ", small_trace(), " ", out);
  if (verb == "gen") return absl::StrCat("gen zipf,refs=1k ", out);
  if (verb == "record") return absl::StrCat("record -o ", out);
  if (verb == "config") return "config show";
  if (verb == "demo") return "demo popf";
  if (verb == "compare") return "compare --limit 100 " + small_trace();
  return absl::StrCat(verb, " ", small_trace());
}

TEST(Values, EveryOptionIsNamedWhenItsValueIsBad) {
  std::map<std::string, int> met;
  const json table = json_of("gnomon help --json");
  for (const json& verb : table["verbs"]) {
    const std::string name = verb["name"];
    for (const json& option : verb["options"]) {
      const std::string flag = option["name"];
      if (flag[0] != '-' || option["value"] == "") continue;
      const auto bad = bad_values().find(flag);
      ASSERT_NE(bad, bad_values().end()) << name << " " << flag << ": add values to the table";
      ++met[flag];
      for (std::string value : bad->second) {
        if (value == "NOWHERE") value = scratch_path("nowhere/file");
        const std::string line = absl::StrCat("gnomon ", complete(name), " ", flag, " ", value,
                                              name == "record" ? " -- true" : "", " </dev/null");
        const Finished f = run(line);
        EXPECT_EQ(f.status, 2) << line;
        EXPECT_THAT(f.out, IsEmpty()) << line;
        EXPECT_THAT(f.err, AllOf(StartsWith("gnomon: "), HasSubstr(flag))) << line;
        EXPECT_EQ(std::count(f.err.begin(), f.err.end(), '\n'), 1) << line << "\n" << f.err;
        if (absl::StrContains(value, kTooLong) && flag != "--guest") {
          EXPECT_THAT(f.err, HasSubstr("too large")) << line;
        }
      }
    }
  }
  EXPECT_EQ(met.size(), bad_values().size()) << "the table has options that no verb has";
  EXPECT_FALSE(std::filesystem::exists(scratch_path("values.csv")));
}

TEST(Values, OutputIsAnotherWayToNameTheFile) {
  const std::string by_option = scratch_path("by_option.csv");
  const std::string by_place = scratch_path("by_place.csv");
  const std::string lines[] = {"convert -q " + small_trace(), "gen -q zipf,refs=1k"};
  for (const std::string& line : lines) {
    ASSERT_EQ(run("gnomon " + line + " " + by_place).status, 0) << line;
    const std::string expected = run("cat " + by_place).out;
    for (const absl::string_view option : {"-o ", "--output ", "--output="}) {
      std::filesystem::remove(by_option);
      const Finished f = run(absl::StrCat("gnomon ", line, " ", option, by_option));
      EXPECT_EQ(f.status, 0) << line << f.err;
      EXPECT_EQ(run("cat " + by_option).out, expected) << line << option;
    }
    const Finished both = run(absl::StrCat("gnomon ", line, " ", by_place, " -o ", by_option));
    EXPECT_EQ(both.status, 2) << line;
    EXPECT_THAT(both.err, HasSubstr("--output and the argument '" + by_place)) << line;
  }
  EXPECT_EQ(run("gnomon convert -q -o - --to csv " + small_trace()).out,
            run("gnomon convert -q --to csv " + small_trace() + " -").out);
  EXPECT_THAT(run("gnomon gen -o " + by_option).err, HasSubstr("PATTERN is missing"));
  EXPECT_THAT(run("gnomon convert " + small_trace()).err, HasSubstr("OUTPUT is missing"));
}

}  // namespace
}  // namespace gnomon::cli_test

// SPDX-License-Identifier: Apache-2.0
//
// `compare`, `replay` and `config`: forms of the result, sweeps, windows, exports, settings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gnomon/backend.h"
#include "gnomon/base/counters.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

/// A short zipf trace, replayed in a moment.
constexpr absl::string_view kPattern = "gen:zipf,refs=20k,bytes=1M,writes=30";

std::string line(absl::string_view verb, absl::string_view options) {
  return absl::StrCat("gnomon ", verb, " -q ", options);
}

std::vector<std::vector<std::string>> csv_of(const std::string& command_line) {
  const Finished f = run(command_line);
  EXPECT_EQ(f.status, 0) << f.err;
  std::vector<std::vector<std::string>> rows;
  for (const absl::string_view row : absl::StrSplit(f.out, '\n', absl::SkipEmpty())) {
    rows.push_back(absl::StrSplit(row, ','));
  }
  return rows;
}

TEST(Compare, TheTableHasAColumnForEachBackend) {
  const Finished f = run(line("compare", small_trace()));
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.err, IsEmpty());
  const std::string shape = shape_of(f.out);
  EXPECT_THAT(shape, StartsWith(shape_of(absl::StrCat("trace   ", small_trace()))));
  EXPECT_THAT(shape, AllOf(HasSubstr(" N references ( N fetches, N loads, N stores)\n"),
                           HasSubstr(" native shadow nested\n"), HasSubstr("\n accesses N N N\n"),
                           HasSubstr("\n misses N N N\n")));
}

TEST(Compare, EveryBackendReplays) {
  for (const BackendInfo& b : backends()) {
    const json d =
        json_of(line("replay", absl::StrCat("--json --audit -m ", b.name, " ", kPattern)));
    ASSERT_EQ(d["backends"].size(), 1u) << b.name;
    EXPECT_EQ(d["backends"][0]["spec"], std::string(b.name));
    EXPECT_EQ(d["backends"][0]["audit"]["passed"], true) << b.name;
  }
}

TEST(Compare, JsonHoldsEverythingThatIsCounted) {
  const json d = json_of(line("compare", absl::StrCat("--json ", small_trace())));
  EXPECT_EQ(d["schema"], "gnomon.compare/2");
  for (const absl::string_view key :
       {"gnomon", "traces", "options", "references", "cost_model", "cost_groups", "backends",
        "break_even", "series", "counter_info"}) {
    EXPECT_TRUE(d.contains(std::string(key))) << key;
  }
  EXPECT_EQ(d["traces"][0]["records"], 3000);
  EXPECT_EQ(d["traces"][0]["name"], small_trace());
  const json& r = d["references"];
  EXPECT_EQ(r["fetch"], 1000);
  EXPECT_EQ(r["load"], 1000);
  EXPECT_EQ(r["store"], 1000);
  ASSERT_EQ(d["backends"].size(), 3u);
  for (const json& backend : d["backends"]) {
    for (const CounterInfo& row : counter_table()) {
      EXPECT_TRUE(backend["counters"].contains(std::string(row.name))) << row.name;
    }
    EXPECT_GT(backend["cost"]["total"], 0);
  }
}

TEST(Compare, CsvHasFixedColumns) {
  const auto rows = csv_of(line("compare", absl::StrCat("--csv -m native,nested ", small_trace())));
  ASSERT_GT(rows.size(), 50u);
  EXPECT_EQ(rows[0],
            (std::vector<std::string>{"point", "backend", "group", "name", "unit", "value"}));
  std::map<std::string, int> backends_seen;
  for (size_t i = 1; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i].size(), 6u) << "line " << i + 1;
    ++backends_seen[rows[i][1]];
  }
  EXPECT_EQ(backends_seen["native"], backends_seen["nested"]);
  EXPECT_EQ(backends_seen.size(), 2u);
}

TEST(Compare, BackendsWithCommasAreQuotedInCsv) {
  const Finished f =
      run(line("compare", absl::StrCat("-m 'native;nested:levels=5,max_page=4K' -m npt --csv ",
                                       small_trace())));
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.out, AllOf(HasSubstr("\n,native,"), HasSubstr("\n,npt,"),
                           HasSubstr("\n,\"nested:levels=5,max_page=4K\",")));
}

TEST(Compare, SweepsTakeOptionsAndKeysOfGuestAndPrice) {
  const json d = json_of(
      line("compare", absl::StrCat("--json --sweep host-page=4K,2M --sweep guest.thp=never,always "
                                   "--sweep price.exit=100,2000 -m native,nested ",
                                   kPattern)));
  EXPECT_EQ(d["schema"], "gnomon.sweep/1");
  EXPECT_EQ(d["keys"], (json{"host-page", "guest.thp", "price.exit"}));
  ASSERT_EQ(d["points"].size(), 8u);
  EXPECT_EQ(d["points"][0]["values"]["price.exit"], "100");
  EXPECT_EQ(d["points"][1]["values"]["price.exit"], "2000");
  EXPECT_EQ(d["points"][7]["values"]["host-page"], "2M");
  for (const json& point : d["points"]) {
    const json& options = point["result"]["options"];
    EXPECT_EQ(options["host-page"], point["values"]["host-page"]);
    EXPECT_EQ(options["guest"]["thp"], point["values"]["guest.thp"]);
    EXPECT_EQ(options["price"]["exit"].dump().substr(0, 3),
              point["values"]["price.exit"].get<std::string>().substr(0, 3));
  }
  const auto rows =
      csv_of(line("compare", absl::StrCat("--csv --sweep host-page=4K,2M -m native ", kPattern)));
  EXPECT_EQ(rows[1][0], "host-page=4K");
  const Finished text = run(line("compare", absl::StrCat("--sweep host-page=4K,2M ", kPattern)));
  EXPECT_THAT(text.out, AllOf(HasSubstr("2M"), HasSubstr("nested")));
}

TEST(Compare, EachReplaysEveryTraceOnItsOwn) {
  const std::string both = absl::StrCat(small_trace(), " ", kPattern);
  const json d = json_of(line("compare", absl::StrCat("--json --each -m native ", both)));
  ASSERT_EQ(d["points"].size(), 2u);
  const json alone = json_of(line("compare", absl::StrCat("--json -m native ", kPattern)));
  EXPECT_EQ(d["points"][1]["values"]["trace"], std::string(kPattern));
  EXPECT_EQ(d["points"][1]["result"]["backends"], alone["backends"]);
  const json together = json_of(line("compare", absl::StrCat("--json -m native ", both)));
  EXPECT_EQ(together["traces"].size(), 2u);
}

TEST(Compare, EachShowsABlockForEachTrace) {
  const std::string directory = scratch_path("traces");
  ASSERT_EQ(run("mkdir -p " + directory + "/deeper && cp " + small_trace() + " " + directory +
                "/a.lackey && cp " + small_trace() + " " + directory + "/deeper/b.lackey")
                .status,
            0);
  const std::string traces = directory + "/a.lackey " + directory + "/deeper/b.lackey";
  const Finished f = run("gnomon compare -q --each -m native,shadow,nested " + traces);
  // The directory that all have in common is not repeated.
  EXPECT_THAT(f.out, AllOf(HasSubstr("\na.lackey: 3,000 references\n"),
                           HasSubstr("\n\ndeeper/b.lackey: 3,000 references\n")));
  EXPECT_EQ(f.out.find(directory), std::string::npos);
  for (const absl::string_view l : absl::StrSplit(f.out, '\n')) EXPECT_LE(l.size(), 80u) << l;
  // Of the two that virtualize, one is the cheapest, in each block the same.
  const json d = json_of("gnomon compare -q --json --each -m native,shadow,nested " + traces);
  const json& backends = d["points"][0]["result"]["backends"];
  const bool nested = backends[2]["cost"]["total"] < backends[1]["cost"]["total"];
  const std::string mark = nested ? "\n* nested " : "\n* shadow ";
  const size_t first = f.out.find(mark);
  ASSERT_NE(first, std::string::npos) << f.out;
  EXPECT_NE(f.out.find(mark, first + 1), std::string::npos) << f.out;
  EXPECT_EQ(f.out.find(nested ? "* shadow" : "* nested"), std::string::npos);
  EXPECT_EQ(f.out.find("* native"), std::string::npos);

  const Finished one = run("gnomon compare -q --each -m nested " + traces);
  EXPECT_THAT(one.out, AllOf(HasSubstr("\na.lackey "), HasSubstr("\ndeeper/b.lackey ")));
  EXPECT_THAT(run(absl::StrCat("gnomon compare -q --each ", kPattern)).out,
              HasSubstr(std::string(kPattern)));
}

TEST(Compare, TheNumberOfJobsChangesNothing) {
  const std::string options =
      absl::StrCat("--sweep vcpus=1,2 --audit -v ", kPattern, " ", small_trace());
  for (const absl::string_view form : {"", "--json", "--csv"}) {
    const Finished one = run(line("compare", absl::StrCat("--jobs 1 ", form, " ", options)));
    const Finished four = run(line("compare", absl::StrCat("--jobs 4 ", form, " ", options)));
    EXPECT_EQ(one.status, 0) << one.err;
    EXPECT_EQ(one.out, four.out) << form;
    if (form.empty()) {
      EXPECT_THAT(one.out, HasSubstr("\naudit   6 of 6 replays sound, guest memory equal\n"));
    }
  }
}

TEST(Compare, NamesAreShownAsUtf8) {
  const std::string trace = scratch_path("\xc3\xa9 \xff \xc2\x9b \xe0\x80\x80.lackey");
  scratch_file("plain.lackey", small_recording());
  ASSERT_EQ(run(absl::StrCat("cp ", scratch_path("plain.lackey"), " '", trace, "'")).status, 0);
  const Finished f = run(absl::StrCat("gnomon replay -m native --limit 1 '", trace, "'"));
  EXPECT_THAT(f.out, HasSubstr("\xc3\xa9 \\xff \\xc2\\x9b \\xe0\\x80\\x80.lackey"));
  EXPECT_THAT(f.out, HasSubstr(" 1 reference (1 fetch, 0 loads, 0 stores)"));
  const Finished bad = run(absl::StrCat("gnomon replay --format csv '", trace, "'"));
  EXPECT_THAT(bad.err, HasSubstr("\xc3\xa9 \\xff \\xc2\\x9b"));
}

TEST(Compare, ASweepOfBackendsIsSplitAsMmuIs) {
  const json d = json_of(
      line("compare", absl::StrCat("--json --sweep 'mmu=vtlb,shadow:unsync=off,prefetch=8;native' ",
                                   small_trace())));
  std::vector<std::string> points;
  for (const json& point : d["points"]) {
    points.push_back(point["values"]["mmu"]);
    EXPECT_EQ(point["result"]["backends"].size(), 1u);
  }
  EXPECT_EQ(points, (std::vector<std::string>{"vtlb", "shadow:unsync=off,prefetch=8", "native"}));
}

TEST(Compare, WindowsCountReferences) {
  const json d =
      json_of(line("replay", absl::StrCat("--json -m native --skip 600 --warmup 1500 --limit 300 ",
                                          small_trace())));
  EXPECT_EQ(d["references"]["skipped"], 600);
  EXPECT_EQ(d["references"]["warmed_up"], 1500);
  const json& r = d["references"];
  EXPECT_EQ(r["fetch"].get<int>() + r["load"].get<int>() + r["store"].get<int>(), 300);
  // Of traces that run side by side each is skipped into; the limit is of all of them.
  const json copies =
      json_of(line("replay", absl::StrCat("--json -m native --copies 2 ", small_trace())));
  EXPECT_EQ(copies["references"]["fetch"], 2000);
}

TEST(Compare, AModifyIsTwoReferencesAndACrossingRecordOne) {
  const std::string trace = scratch_file(
      "kinds.lackey", "I  00001000,4\n M 0000002000,8\n L 0000002ffc,8\n S 0000003000,8\n");
  const json d = json_of(line("replay", absl::StrCat("--json -m native ", trace)));
  EXPECT_EQ(d["references"]["fetch"], 1);
  EXPECT_EQ(d["references"]["load"], 2);
  EXPECT_EQ(d["references"]["store"], 2);
  const json info = json_of("gnomon info --json " + trace);
  EXPECT_EQ(info["traces"][0]["references"], 5);
}

TEST(Compare, ReadsStandardInputAndCompressedFilesAlike) {
  const json by_name = json_of(line("compare", "--json " + small_trace()));
  const json piped = json_of("cat " + small_trace() + " | gnomon compare -q --json -");
  EXPECT_EQ(by_name["backends"], piped["backends"]);
  EXPECT_EQ(piped["traces"][0]["name"], "standard input");
  const json packed =
      json_of("gzip -c " + small_trace() + " | gnomon compare -q --json --format lackey -");
  EXPECT_EQ(by_name["backends"], packed["backends"]);
}

TEST(Compare, ExportsAreWhatTheyClaim) {
  const std::string html = scratch_path("report.html");
  const std::string j = scratch_path("report.json");
  const std::string csv = scratch_path("report.csv");
  const std::string chrome = scratch_path("timeline.json");
  const std::string guest = scratch_path("guest.gtrace");
  const std::string options =
      absl::StrCat(kPattern, " -m shadow --export-html ", html, " --export-json ", j,
                   " --export-csv ", csv, " --export-trace ", chrome, " --export-guest ", guest);
  const Finished f = run(line("replay", absl::StrCat("--json ", options)));
  ASSERT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.err, IsEmpty());
  EXPECT_EQ(contents_of(j), f.out);
  EXPECT_EQ(contents_of(csv), run(line("replay", absl::StrCat("--csv -m shadow ", kPattern))).out);
  EXPECT_THAT(contents_of(html).substr(0, 20), StartsWith("<!DOCTYPE html>"));
  const json timeline = json::parse(contents_of(chrome), nullptr, false);
  ASSERT_TRUE(timeline.is_object());
  EXPECT_GT(timeline["traceEvents"].size(), 10u);
  const json info = json_of("gnomon info --json " + guest);
  EXPECT_EQ(info["traces"][0]["whole_guest"], true);
  const json again = json_of(line("replay", absl::StrCat("--json --audit -m nested ", guest)));
  EXPECT_EQ(again["backends"][0]["audit"]["passed"], true);
  // What is said of a guest that is not modelled is not what the options ask for.
  EXPECT_THAT(run(line("replay", absl::StrCat("--mem 64K --guest thp=always ", guest))).out,
              HasSubstr("\nguest   the trace's own, 1 processor\n"));
}

TEST(Compare, AnUnwritableExportStopsItBeforeTheReplay) {
  const Finished f =
      run(line("compare", "gen:zipf,refs=100G --export-html " + scratch_path("no/such.html")));
  EXPECT_EQ(f.status, 2);
  EXPECT_THAT(f.err, HasSubstr("No such file or directory"));
}

TEST(Compare, NotesComeAfterTheTable) {
  const Finished f = run(absl::StrCat("gnomon compare -m native ", kPattern));
  EXPECT_EQ(f.status, 0);
  EXPECT_THAT(f.err, StartsWith("gnomon: replayed, in million accesses a second: native "));
}

TEST(Compare, SaysWhenTheGuestIsTooSmall) {
  const Finished f = run(line("replay", "-m native --mem 64K " + small_trace()));
  EXPECT_EQ(f.status, 2);
  EXPECT_THAT(f.err, StartsWith("gnomon: "));
  EXPECT_EQ(std::count(f.err.begin(), f.err.end(), '\n'), 1) << f.err;
}

TEST(Compare, ControlCharactersOfATraceAreNotSentToTheTerminal) {
  const std::string trace = scratch_file("esc\x1b[31m.lackey", small_recording());
  const Finished f = run(line("replay", absl::StrCat("-m native '", trace, "'")));
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.out, AllOf(Not(HasSubstr("\x1b")), HasSubstr("\\x1b[31m.lackey")));
}

TEST(Compare, NamesThatAreNotUtf8AreStillJson) {
  const std::string trace = scratch_file("caf\xe9.lackey", small_recording());
  json_of(line("replay", absl::StrCat("--json -m native '", trace, "'")));
  json_of(absl::StrCat("gnomon info --json '", trace, "'"));
}

TEST(Config, WhatItPrintsItReads) {
  const std::string options =
      "--tlb skylake --caches none --cost svm --price exit=1234 --guest thp=always,pcid=on "
      "--mem 1G --host-page 2M --vcpus 3 --tick 5k --copies 2 --slice 7k --skip 1 --warmup 2 "
      "--limit 3 --roi --format csv --lenient";
  const Finished printed = run("gnomon config show --json " + options);
  ASSERT_EQ(printed.status, 0) << printed.err;
  const std::string file = scratch_file("mine.json", printed.out);
  EXPECT_EQ(run("gnomon config show --json --config " + file).out, printed.out);
  EXPECT_EQ(run("gnomon config show --config " + file).out,
            run("gnomon config show " + options).out);
  EXPECT_EQ(json::parse(printed.out)["schema"], "gnomon.config/1");
  // What is given beside it wins.
  const json over = json_of(
      "gnomon config show --json --tlb zen3 --price exit=5 --guest thp=never --config " + file);
  EXPECT_EQ(over["tlb"], "zen3");
  EXPECT_EQ(over["price"]["exit"], 5);
  EXPECT_EQ(over["guest"]["thp"], "never");
  EXPECT_EQ(over["guest"]["pcid"], "on");
}

TEST(Config, AReplayGoesByIt) {
  const std::string file =
      scratch_file("nested.json", R"({"mmu": "nested", "host-page": "2M"} // mine)");
  const json d = json_of(line("compare", absl::StrCat("--json --config ", file, " ", kPattern)));
  ASSERT_EQ(d["backends"].size(), 1u);
  EXPECT_EQ(d["backends"][0]["spec"], "nested");
  EXPECT_EQ(d["options"]["host-page"], "2M");
}

}  // namespace
}  // namespace gnomon::cli_test

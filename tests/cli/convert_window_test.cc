// SPDX-License-Identifier: Apache-2.0
//
// A piece of a trace: where it is cut, and what it starts from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

constexpr absl::string_view kHeader =
    "op,address,size,process,thread,flags,length,value,extra,file,text\n";

/// The rows of a window of a csv trace with these rows.
std::string window(absl::string_view rows, absl::string_view options) {
  const std::string file = scratch_file("window.csv", absl::StrCat(kHeader, rows));
  const Finished f = run(absl::StrCat("gnomon convert -q ", file, " - --to csv ", options));
  EXPECT_EQ(f.status, 0) << f.err;
  return f.out.substr(f.out.find('\n') + 1);
}

TEST(ConvertWindow, CutsAsAReplayDoes) {
  constexpr absl::string_view kRows =
      "syscall,,,,,,,1\nM,0x1000,8\nsyscall,,,,,,,2\nM,0x1000,8\nsyscall,,,,,,,3\nL,0x2000,8\n"
      "syscall,,,,,,,4\nL,0x3000,8\nsyscall,,,,,,,5\n";
  const auto loads = [&](absl::string_view options) {
    const std::string file = scratch_file("cut.csv", absl::StrCat(kHeader, kRows));
    const nlohmann::json r =
        json_of(absl::StrCat("gnomon compare -m native --json ", options, " ", file));
    return int{r["references"]["load"]} + int{r["references"]["store"]};
  };
  for (const auto& [options, references] :
       std::initializer_list<std::pair<absl::string_view, int>>{{"--skip 1", 4},
                                                                {"--skip 2", 4},
                                                                {"--skip 3", 2},
                                                                {"--limit 1", 2},
                                                                {"--limit 3", 4},
                                                                {"--skip 1 --limit 1", 2},
                                                                {"--skip 2 --limit 3", 3},
                                                                {"--skip 5", 1}}) {
    const std::string file = scratch_file("cut.csv", absl::StrCat(kHeader, kRows));
    const nlohmann::json r = json_of(absl::StrCat("gnomon convert --json ", options, " ", file, " ",
                                                  scratch_path("out.gtrace")));
    EXPECT_EQ(r["references"], references) << options;
    EXPECT_EQ(loads(options), references) << options;
  }
  EXPECT_EQ(window(kRows, "--skip 4 --limit 1"), "syscall,,,,,,,0x3\nL,0x2000,8\n");
  EXPECT_EQ(window(kRows, "--skip 3"),
            "syscall,,,,,,,0x3\nL,0x2000,8\nsyscall,,,,,,,0x4\nL,0x3000,8\nsyscall,,,,,,,0x5\n");
}

TEST(ConvertWindow, StartsFromTheStateThatWasLeft) {
  constexpr absl::string_view kRows =
      "break,0x10000\nbreak,0x14000\nmap,0x20000,,,,3,0x8000,0x1000,,5,/lib/"
      "x\nprotect,0x22000,,,,1,0x2000\n"
      "unmap,0x26000,,,,,0x1000\nmap,0x40000,,,,3,0x2000\nremap,0x40000,,,,,0x2000,0x50000,0x4000\n"
      "fork,,,0,,,,1\nswitch,,,1,2\nmark,,,,,1,,,,,roi\nL,0x20000,8\nunmap,0x20000,,,,,0x8000\nL,"
      "0x50000,8\n";
  const absl::string_view want =
      "switch,,,0\nbreak,0x10000\nbreak,0x14000\nunmap,0x10000,,,,,0x4000\n"
      "map,0x10000,,,,3,0x4000\nmap,0x20000,,,,3,0x2000,0x1000,,5,/lib/x\n"
      "map,0x22000,,,,1,0x2000,0x3000,,5,/lib/x\nmap,0x24000,,,,3,0x2000,0x5000,,5,/lib/x\n"
      "map,0x27000,,,,3,0x1000,0x8000,,5,/lib/x\nmap,0x50000,,,,3,0x4000\n"
      "switch,,,1\nbreak,0x10000\nbreak,0x14000\nunmap,0x10000,,,,,0x4000\n"
      "map,0x10000,,,,3,0x4000\nmap,0x20000,,,,3,0x2000,0x1000,,5,/lib/x\n"
      "map,0x22000,,,,1,0x2000,0x3000,,5,/lib/x\nmap,0x24000,,,,3,0x2000,0x5000,,5,/lib/x\n"
      "map,0x27000,,,,3,0x1000,0x8000,,5,/lib/x\nmap,0x50000,,,,3,0x4000\n"
      "switch,,,1,2\nmark,,,,,1,,,,,roi\nunmap,0x20000,,,,,0x8000\nL,0x50000,8\n";
  EXPECT_EQ(window(kRows, "--skip 1"), window(want, ""));
  // Nothing left out: nothing put in front.
  EXPECT_THAT(window(kRows, "--skip 0"), testing::StartsWith("break,"));
  EXPECT_EQ(window("L,0x1000,8\nL,0x2000,8\n", "--skip 1"), "L,0x2000,8\n");
}

/// A remap leaves what the kernel of the guest model makes of it: nothing where it rejects it.
TEST(ConvertWindow, RemapsAsAGuestDoes) {
  struct Case {
    absl::string_view name, rows, want;
  };
  constexpr Case kCases[] = {
      {"overlaps", "map,0x40000,,,,3,0x4000\nremap,0x40000,,,,,0x4000,0x42000,0x4000\n",
       "map,0x40000,,,,3,0x4000\n"},
      {"to nothing", "map,0x40000,,,,3,0x4000\nremap,0x40000,,,,,0x4000,0x50000,0\n",
       "map,0x40000,,,,3,0x4000\n"},
      {"two mappings",
       "map,0x40000,,,,3,0x2000\nmap,0x42000,,,,1,0x2000\nremap,0x40000,,,,,0x4000,0x50000,"
       "0x4000\n",
       "map,0x40000,,,,3,0x2000\nmap,0x42000,,,,1,0x2000\n"},
      {"two files",
       "map,0x40000,,,,3,0x2000,0,,1\nmap,0x42000,,,,3,0x2000,0x3000,,1\n"
       "remap,0x40000,,,,,0x4000,0x50000,0x4000\n",
       "map,0x40000,,,,3,0x2000,0,,1\nmap,0x42000,,,,3,0x2000,0x3000,,1\n"},
      {"two shared memories",
       "map,0x40000,,,,11,0x2000\nmap,0x42000,,,,11,0x2000\nremap,0x40000,,,,,0x4000,0x50000,"
       "0x4000\n",
       "map,0x40000,,,,11,0x2000\nmap,0x42000,,,,11,0x2000\n"},
      {"beyond its end", "map,0x40000,,,,3,0x2000\nremap,0x40000,,,,,0x4000,0x50000,0x4000\n",
       "map,0x40000,,,,3,0x2000\n"},
      {"alike, so one",
       "map,0x40000,,,,3,0x2000,0x1000,,1\nmap,0x42000,,,,3,0x2000,0x3000,,1\n"
       "remap,0x41000,,,,,0x3000,0x50000,0x2000\n",
       "map,0x40000,,,,3,0x1000,0x1000,,1\nmap,0x50000,,,,3,0x2000,0x2000,,1\n"},
      {"shared memory in parts that are alike again",
       "map,0x40000,,,,11,0x4000\nprotect,0x41000,,,,1,0x1000\nprotect,0x41000,,,,3,0x1000\n"
       "remap,0x40000,,,,,0x4000,0x50000,0x4000\n",
       "map,0x50000,,,,11,0x4000\n"},
      {"again, private", "map,0x40000,,,,3,0x2000\nremap,0x40000,,,,,0,0x50000,0x2000\n",
       "map,0x40000,,,,3,0x2000\n"},
      {"again, shared", "map,0x40000,,,,11,0x2000,0x5000,,1\nremap,0x41000,,,,,0,0x50000,0x1000\n",
       "map,0x40000,,,,11,0x2000,0x5000,,1\nmap,0x50000,,,,11,0x1000,0x6000,,1\n"},
      {"again, into itself", "map,0x40000,,,,11,0x2000,0,,1\nremap,0x41000,,,,,0,0x41000,0x1000\n",
       "map,0x40000,,,,11,0x2000,0,,1\n"},
      {"untold", "map,0x50000,,,,3,0x4000\nremap,0x40000,,,,,0x2000,0x51000,0x2000\n",
       "map,0x50000,,,,3,0x1000\nmap,0x53000,,,,3,0x1000\n"},
      {"untold, grows in place",
       "map,0x42000,,,,3,0x4000\nremap,0x40000,,,,,0x2000,0x40000,0x3000\n",
       "map,0x43000,,,,3,0x3000\n"},
      {"untold in part", "map,0x41000,,,,3,0x1000\nremap,0x40000,,,,,0x2000,0x50000,0x2000\n",
       "map,0x41000,,,,3,0x1000\n"},
      {"grows in place, over others",
       "map,0x40000,,,,3,0x2000,0x1000,,1\nmap,0x42000,,,,1,0x4000\n"
       "remap,0x40000,,,,,0x1000,0x40000,0x3000\n",
       "map,0x40000,,,,3,0x3000,0x1000,,1\nmap,0x43000,,,,1,0x3000\n"},
      {"shrinks", "map,0x40000,,,,3,0x6000\nremap,0x41000,,,,,0x4000,0x41000,0x1000\n",
       "map,0x40000,,,,3,0x2000\nmap,0x45000,,,,3,0x1000\n"},
      {"a file from amid a page", "map,0x40000,,,,3,0x2000\nmap,0x40000,,,,3,0x2000,0x10,,1\n",
       "map,0x40000,,,,3,0x2000\n"},
  };
  for (const Case& c : kCases) {
    const std::string rows = absl::StrCat(c.rows, "L,0x1000,8\nL,0x2000,8\n");
    EXPECT_EQ(window(rows, "--skip 1"),
              window(absl::StrCat("switch,,,0\n", c.want, "switch,,,0\nL,0x2000,8\n"), ""))
        << c.name;
  }
}

constexpr absl::string_view kGuest = "info,,,,,,,,,,guest=1\nguest,,,,,,0x10000\n";

/// Each word of a table once, as it is in the end, and pages in the order of their first use.
TEST(ConvertWindow, OfAWholeGuestKeepsWhatIsFinal) {
  const std::string rows = absl::StrCat(
      kGuest,
      "table_write,0x3008,,,,8,,0x1122334455667788\ntable_write,0x1000,,,,8,,0x3003\n"
      "table_write,0x3008,,,,2,,0xffff\ntable_write,0x300c,,,,8,,0xaaaaaaaabbbbbbbb\n"
      "clear_page,0x5000\ntable_write,0x2000,,,,8,,0x7\ntable_write,0x2000,,,,8,,0\n"
      "table_write,0x6010,,,,8,,0x9\nclear_page,0x6000\ntable_write,0x6018,,,,4,,0x5\n"
      "table_write,0x7000,,,,8,,0x1\ncopy_page,0x7000,,,,,,0x5000\n"
      // What cannot be changes nothing.
      "clear_page,0x3008\nclear_page,0x10000\ncopy_page,0x3000,,,,,,0x10000\n"
      "table_write,0x3ffc,,,,8,,1\ntable_write,0xfffe,,,,4,,1\ntable_write,0x3000,,,,9,,1\n"
      "table_write,0x3000,,,,0,,1\ntable_write,0xfffffffffffffffc,,,,4,,1\n"
      "invlpg,0x1000\ntable_read,0x3008,,,,8\nmark,,,,,1,,,,,old\nmark,,,,,2\nmark,,,,,1,,,,,roi\n"
      "L,0x1000,8\nL,0x2000,8\n");
  EXPECT_EQ(
      window(rows, "--skip 1"),
      window(absl::StrCat(kGuest,
                          "table_write,0x3008,,,,8,,0xbbbbbbbb5566ffff\n"
                          "table_write,0x3010,,,,8,,0xaaaaaaaa\ntable_write,0x1000,,,,8,,0x3003\n"
                          "clear_page,0x5000\ntable_write,0x2000,,,,8,,0\n"
                          "table_write,0x6018,,,,8,,0x5\nclear_page,0x7000\n"
                          "mark,,,,,1,,,,,roi\nL,0x2000,8\n"),
             ""));
}

/// The processors' registers in an order in which they can be loaded; roots that are pages of data
/// by now, or that were loaded again later, are gone.
TEST(ConvertWindow, OfAWholeGuestKeepsTheProcessors) {
  constexpr absl::string_view kLong = "controls,0x500,,,,,,0x80000001,0x20\n";
  constexpr absl::string_view kPcids = "controls,0x500,,,,,,0x80000001,0x20020\n";
  const auto kept = [&](absl::string_view rows) {
    return window(absl::StrCat(kGuest, rows, "L,0x1000,8\nL,0x2000,8\n"), "--skip 1");
  };
  const auto want = [&](absl::string_view rows) {
    return window(absl::StrCat(kGuest, rows, "L,0x2000,8\n"), "");
  };
  EXPECT_EQ(kept(absl::StrCat("cr3,,,,,,,0x1000\n", kLong)),
            want(absl::StrCat("cr3,,,,,,,0x1000\n", kLong)));
  EXPECT_EQ(
      kept(absl::StrCat("cr3,,,,,,,0x1000\n", kLong, kPcids, "cr3,,,,,,,0x2001\ncr3,,,,,,,0x3002\n",
                        "clear_page,0x3000\ncr3,,,,,,,0x8000000000002005\nclear_page,0x2000\n")),
      want(absl::StrCat("clear_page,0x3000\nclear_page,0x2000\ncr3,,,,,,,0x1000\n", kPcids,
                        "cr3,,,,,,,0x1000\ncr3,,,,,,,0x3002\ncr3,,,,,,,0x2005\n")));
  // Above 4G only long mode takes a root.
  EXPECT_EQ(kept(absl::StrCat("cr3,,,,,,,0x1000\n", kLong,
                              "clear_page,0x1000\ncr3,,,,,,,0x200000000\n", "clear_page,0x1000\n")),
            want(absl::StrCat("clear_page,0x1000\n", kLong, "cr3,,,,,,,0x200000000\n")));
  // Nothing but what it has now, where a load reads the table.
  EXPECT_EQ(kept("cr3,,,,,,,0x1000\ncr3,,,,,,,0x2018\ncontrols,0,,,,,,0x80000001,0x20\n"),
            want("cr3,,,,,,,0x2018\ncontrols,0,,,,,,0x80000001,0x20\n"));
  EXPECT_EQ(kept(absl::StrCat("switch,,,0,2\ncr3,,,,,,,0x1000\n", kLong, "switch,,,0,1\n")),
            want(absl::StrCat("switch,,,0,2\ncr3,,,,,,,0x1000\n", kLong, "switch,,,0,1\n")));
}

/// Counters by name, of each backend.
nlohmann::json counters_of(absl::string_view options) {
  const nlohmann::json r = json_of(absl::StrCat("gnomon compare -q --json --audit ", options));
  nlohmann::json all;
  for (const nlohmann::json& backend : r["backends"]) {
    EXPECT_TRUE(backend["audit"]["passed"]) << backend["spec"];
    all[std::string(backend["spec"])] = {backend["counters"], backend["caches"]};
  }
  return all;
}

/// Without its first reference and what comes before, a part counts what the whole counts there.
TEST(ConvertWindow, OfAWholeGuestCountsAsTheWholeDoes) {
  // Processes that come and go, so that tables become data and data tables.
  std::string rows = "map,0x10000000,,,,3,0x2000000\n";
  for (int i = 0; i < 24; ++i) {
    absl::StrAppend(&rows, "fork,,,0,,,,", i + 1, "\n");
    for (const int process : {i + 1, 0}) {
      absl::StrAppend(&rows, "switch,,,", process, ",", i % 2, "\n");
      for (int k = 0; k < 100; ++k)
        absl::StrAppend(&rows, "S,", 0x10000000 + (i * 331 + k * 37) % 0x2000 * 0x1000, ",8\n");
    }
    absl::StrAppend(&rows, "unmap,", 0x10000000 + i % 7 * 0x200000, ",,,,,0x100000\nmap,",
                    0x10000000 + i % 7 * 0x200000, ",,,,3,0x100000\n");
    if (i % 4 != 0) absl::StrAppend(&rows, "exit,,,", i + 1, ",0,1\n");
  }
  const std::string trace = scratch_file("many.csv", absl::StrCat(kHeader, rows));
  const std::string guest = scratch_path("many.gtrace"), piece = scratch_path("part.gtrace");
  for (const absl::string_view options : {"", "--vcpus 2 --guest pcid=on"}) {
    ASSERT_EQ(run(absl::StrCat("gnomon replay -q ", trace, " --mmu native ", options,
                               " --export-guest ", guest))
                  .status,
              0);
    const std::string cpus = options.empty() ? "" : " --vcpus 2";
    ASSERT_EQ(run(absl::StrCat("gnomon convert -q --skip 30k ", guest, " ", piece)).status, 0);
    const std::string kind = absl::StrCat(cpus, " --mmu 'native;nested;npt;vtlb' ");
    EXPECT_EQ(counters_of(absl::StrCat(kind, "--skip 30001 ", guest)),
              counters_of(absl::StrCat(kind, "--skip 1 ", piece)));
    // Those that remember more than what tables hold run it as well.
    counters_of(absl::StrCat(cpus, " --mmu 'shadow;agile' ", piece));
  }
}

}  // namespace
}  // namespace gnomon::cli_test

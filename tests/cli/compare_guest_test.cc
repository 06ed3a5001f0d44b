// SPDX-License-Identifier: Apache-2.0
//
// `gnomon compare --guest IMAGE`: the same tables as for traces, of a guest that is run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CompareGuest, TheTableHasAColumnForEachBackend) {
  const Finished f = run(
      "gnomon compare --guest teach32 --append run=fault --mmu native,shadow,vtlb,nested,agile");
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.out,
              AllOf(StartsWith("image   teach32 run=fault: Multiboot 1"),
                    HasSubstr("\nguest   64M of memory, 1 processor\n"),
                    HasSubstr("exits to the VMM, by cause"),
                    HasSubstr("memory references of page walks"), HasSubstr("modelled cycles")));
}

TEST(CompareGuest, JsonSaysWhatWasBooted) {
  const nlohmann::json d =
      json_of("gnomon compare --guest teach32 --append run=fault --mem 32M --limit 100k --json -q");
  EXPECT_EQ(d["options"]["mem"], 32 << 20);
  EXPECT_EQ(d["options"]["image"]["append"], "run=fault");
  EXPECT_EQ(d["traces"][0]["name"], "teach32 run=fault");
  EXPECT_EQ(d["traces"][0]["format"], "multiboot");
  // The limit is kept to an instruction.
  EXPECT_GE(d["traces"][0]["records"], 100'000);
  EXPECT_LT(d["traces"][0]["records"], 100'100);
  ASSERT_EQ(d["backends"].size(), 3u);
  for (const nlohmann::json& backend : d["backends"]) {
    EXPECT_EQ(backend["counters"]["accesses"], d["backends"][0]["counters"]["accesses"]);
  }
}

TEST(CompareGuest, AGuestThatEndedBadlyIsNamed) {
  const Finished f = run("gnomon compare --guest triple -m native,shadow");
  EXPECT_EQ(f.status, 0);
  EXPECT_THAT(f.err, HasSubstr("triple: the guest ended badly: triple fault of processor 0 at 0x"));
}

TEST(CompareGuest, TheNumberOfJobsChangesNothing) {
  // pv64 asks which backend it has, and does something else under direct paging.
  for (const char* jobs : {"1", "2", "3"}) {
    const Finished f =
        run(absl::StrCat("gnomon compare --guest pv64 -m shadow,direct -q -j ", jobs));
    EXPECT_EQ(f.status, 2) << jobs;
    EXPECT_THAT(f.err, StartsWith("gnomon: direct: the guest did not run as under shadow: "))
        << jobs;
    EXPECT_THAT(f.out, ::testing::IsEmpty()) << jobs;
  }
  const std::string same =
      "gnomon compare --guest pv64 --append plain=1 -m native,shadow,direct --json -q -j ";
  EXPECT_EQ(json_of(same + "1"), json_of(same + "3"));
}

TEST(CompareGuest, ADiskBootsAsUnderRun) {
  const std::string disk =
      absl::StrCat(std::filesystem::path(GNOMON_TEST_TOOL).parent_path().parent_path().string(),
                   "/guests/teach32.img");
  // The boot sector gives up after some hundred instructions if there is no disk behind it.
  const nlohmann::json d = json_of(
      absl::StrCat("gnomon compare -q --json --limit 300k -m native,shadow --guest ", disk));
  EXPECT_GE(d["traces"][0]["records"], 300'000);
}

TEST(CompareGuest, ExportsAndSweepsAreThere) {
  const std::string html = scratch_path("guest.html"), csv = scratch_path("guest.csv");
  const Finished f = run(absl::StrCat(
      "gnomon compare --guest popf --sweep host-page=4K,2M --sweep price.exit=1000,2000 ",
      "--export-html ", html, " --export-csv ", csv, " --csv -q"));
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.out, HasSubstr("host-page=2M;price.exit=2000,nested,"));
  EXPECT_GT(std::filesystem::file_size(html), 100'000u);
  EXPECT_GT(std::filesystem::file_size(csv), 1000u);
}

TEST(CompareGuest, WhatDoesNotGoWithAnImageIsRefused) {
  const std::string trace = small_trace();
  const struct {
    std::string arguments;
    const char* message;
  } cases[] = {
      {"--guest popf --guest thp=always", "--guest thp=always: not with --guest IMAGE"},
      {"--guest popf --sweep guest.thp=never,always", "--sweep guest.thp: not with --guest IMAGE"},
      {"--guest popf --sweep slice=1,2", "--sweep slice: not with --guest IMAGE"},
      {"--guest popf --skip 5", "--skip: not with --guest IMAGE"},
      {"--guest popf --each", "--each: not with --guest IMAGE"},
      {"--guest popf --guest holes", "--guest: two images"},
      {absl::StrCat("--guest popf ", trace),
       "--guest: option \"popf\" is not of the form KEY=VALUE; an image takes the place of traces"},
      {absl::StrCat("--append x ", trace), "--append: only with --guest IMAGE"},
      {"--guest popf --mem 3M", "--mem: not 2M to 32G in steps of 2M"},
      {"--guest popf --disk /nowhere", "--disk: cannot open /nowhere"},
  };
  for (const auto& [arguments, message] : cases) {
    const Finished f = run(absl::StrCat("gnomon compare ", arguments));
    EXPECT_EQ(f.status, 2) << arguments;
    EXPECT_EQ(f.err, absl::StrCat("gnomon: ", message, "\n")) << arguments;
  }
}

TEST(CompareGuest, TakesSettingsFromAFile) {
  const std::string file = scratch_path("settings.json");
  const Finished f = run(absl::StrCat("gnomon config show --mem 128M --tlb tiny --json >", file,
                                      "; gnomon compare -q --guest popf --config ", file));
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.out, AllOf(HasSubstr("guest   128M of memory"), HasSubstr("TLB tiny")));
}

}  // namespace
}  // namespace gnomon::cli_test

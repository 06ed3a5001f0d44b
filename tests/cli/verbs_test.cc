// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "gnomon/backend.h"
#include "gnomon/base/counters.h"
#include "gnomon/tlb/presets.h"
#include "gnomon/version.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr absl::string_view kVerbs[] = {"compare",  "counters", "presets",
                                        "backends", "version",  "help"};

TEST(Verbs, HelpListsThemAndShowsExamplesFirst) {
  for (const absl::string_view line : {"gnomon --help", "gnomon -h", "gnomon help"}) {
    const Finished f = run(std::string(line));
    EXPECT_EQ(f.status, 0);
    EXPECT_THAT(f.err, IsEmpty());
    EXPECT_LT(f.out.find("examples:"), f.out.find("usage:"));
    for (const absl::string_view verb : kVerbs) {
      EXPECT_THAT(f.out, HasSubstr(absl::StrCat("\n  ", verb, " "))) << verb;
    }
  }
}

TEST(Verbs, EachExplainsItselfInTwoWays) {
  for (const absl::string_view verb : kVerbs) {
    const Finished by_option = run(absl::StrCat("gnomon ", verb, " --help"));
    const Finished by_verb = run(absl::StrCat("gnomon help ", verb));
    EXPECT_EQ(by_option.status, 0) << verb;
    EXPECT_THAT(by_option.out, AllOf(StartsWith(absl::StrCat("gnomon ", verb, ": ")),
                                     HasSubstr("examples:"), HasSubstr("usage: gnomon ")));
    EXPECT_EQ(by_option.out, by_verb.out) << verb;
  }
}

TEST(Verbs, MistypedOnesAreRecognized) {
  const Finished f = run("gnomon compaer x");
  EXPECT_EQ(f.status, 2);
  EXPECT_EQ(f.err, "gnomon: unknown verb 'compaer'; did you mean 'compare'?\n");
  EXPECT_EQ(run("gnomon xyzzyplugh").err,
            "gnomon: unknown verb 'xyzzyplugh'; `gnomon --help` lists them\n");
  EXPECT_EQ(run("gnomon help compaer").status, 2);
  EXPECT_EQ(run("gnomon").status, 2);
  EXPECT_EQ(run("gnomon counters extra").status, 2);
}

TEST(Verbs, ListsAreComplete) {
  const std::string counters = run("gnomon counters").out;
  for (const CounterInfo& row : counter_table()) {
    EXPECT_THAT(counters, HasSubstr(std::string(row.name)));
    EXPECT_THAT(counters, HasSubstr(std::string(row.description)));
  }
  const std::string presets = run("gnomon presets").out;
  for (const TlbPreset& preset : tlb_presets()) {
    EXPECT_THAT(presets, HasSubstr(std::string(preset.name)));
  }
  const std::string names = run("gnomon backends").out;
  for (const BackendInfo& b : backends()) EXPECT_THAT(names, HasSubstr(std::string(b.name)));
}

TEST(Verbs, ListsComeAsJsonToo) {
  for (const absl::string_view verb : {"counters", "presets", "backends", "version"}) {
    const Finished f = run(absl::StrCat(
        "gnomon ", verb, " --json | python3 -c 'import json, sys; d = json.load(sys.stdin); ",
        "print(d[\"schema\"], len(d[\"", verb, "\"]) > 0)'"));
    EXPECT_EQ(f.out, "1 True\n") << verb << f.err;
  }
}

TEST(Verbs, VersionIsThatOfTheLibrary) {
  for (const absl::string_view line : {"gnomon --version", "gnomon version", "gnomon -V"}) {
    EXPECT_THAT(run(std::string(line)).out, HasSubstr(std::string(version())));
  }
}

}  // namespace
}  // namespace gnomon::cli_test

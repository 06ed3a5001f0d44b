// SPDX-License-Identifier: Apache-2.0
//
// What the program says of itself: help, manual page, completions, lists. `gnomon help --json` is
// the table of verbs and options that all of them must follow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gnomon/backend.h"
#include "gnomon/base/counters.h"
#include "gnomon/cache/hierarchy.h"
#include "gnomon/cost/model.h"
#include "gnomon/tlb/presets.h"
#include "gnomon/version.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const json& table() {
  static const json verbs = json_of("gnomon help --json")["verbs"];
  return verbs;
}

bool is_option(const json& option) { return option["name"].get<std::string>()[0] == '-'; }

TEST(Help, ListsTheVerbsAndShowsExamplesFirst) {
  ASSERT_GT(table().size(), 12u);
  for (const absl::string_view line : {"gnomon --help", "gnomon -h", "gnomon help"}) {
    const Finished f = run(std::string(line));
    EXPECT_EQ(f.status, 0);
    EXPECT_THAT(f.err, IsEmpty());
    EXPECT_LT(f.out.find("examples:"), f.out.find("usage:"));
    for (const json& verb : table()) {
      EXPECT_THAT(f.out, HasSubstr(absl::StrCat("\n  ", verb["name"].get<std::string>(), " ")));
    }
  }
}

TEST(Help, EveryVerbExplainsItselfAndItsOptions) {
  for (const json& verb : table()) {
    const std::string name = verb["name"];
    const Finished f = run("gnomon " + name + " --help");
    EXPECT_EQ(f.status, 0) << name;
    EXPECT_THAT(f.out, AllOf(StartsWith("gnomon " + name + ": "), HasSubstr("examples:"),
                             HasSubstr("usage: gnomon " + name)));
    EXPECT_EQ(f.out, run("gnomon help " + name).out) << name;
    EXPECT_EQ(f.out, run("gnomon " + name + " -h").out) << name;
    EXPECT_FALSE(verb["examples"].empty()) << name;
    for (const json& option : verb["options"]) {
      EXPECT_THAT(f.out, HasSubstr(option["name"].get<std::string>())) << name;
      EXPECT_FALSE(option["help"].get<std::string>().empty()) << name << option["name"];
    }
  }
}

TEST(Help, EveryVerbHasJsonButThoseThatAreTextByNature) {
  for (const json& verb : table()) {
    bool has = false;
    for (const json& option : verb["options"]) has |= option["name"] == "--json";
    EXPECT_EQ(has, verb["name"] != "man" && verb["name"] != "completion") << verb["name"];
  }
}

TEST(Help, TheReferenceNamesEveryVerbAndOption) {
  std::ifstream in(absl::StrCat(GNOMON_TEST_SOURCE_DIR, "/docs/cli.md"));
  std::ostringstream text;
  text << in.rdbuf();
  for (const json& verb : table()) {
    const std::string name = verb["name"];
    EXPECT_THAT(text.str(), HasSubstr("`" + name + "`"));
    for (const json& option : verb["options"]) {
      const std::string word = option["name"];
      EXPECT_THAT(text.str(), HasSubstr(is_option(option) ? "`" + word : word)) << name;
    }
  }
}

TEST(Man, NamesEveryVerbOptionAndDefault) {
  const Finished f = run("gnomon man");
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.out, HasSubstr(".TH GNOMON 1"));
  for (const char* section : {"NAME", "SYNOPSIS", "DESCRIPTION", "VERBS", "EXIT STATUS",
                              "TRACE FORMATS", "EXAMPLES", "FILES", "SEE ALSO"}) {
    EXPECT_THAT(f.out, HasSubstr(absl::StrCat("\n.SH ", section, "\n")));
  }
  for (const char c : f.out) ASSERT_LT(static_cast<unsigned char>(c), 0x80) << "not ASCII";
  size_t at = 0;
  for (const json& verb : table()) {
    const std::string name = verb["name"];
    at = f.out.find(absl::StrCat("\n.SS gnomon ", name), at);
    ASSERT_NE(at, std::string::npos) << name;
    for (const json& option : verb["options"]) {
      const std::string word =
          absl::StrReplaceAll(option["name"].get<std::string>(), {{"-", "\\-"}});
      const size_t found = f.out.find(word, at);
      ASSERT_NE(found, std::string::npos) << name << " " << word;
      const std::string fallback =
          absl::StrReplaceAll(option["default"].get<std::string>(), {{"-", "\\-"}});
      if (!fallback.empty()) {
        EXPECT_NE(f.out.find("(default: " + fallback, found), std::string::npos)
            << name << " " << word;
      }
    }
  }
}

TEST(Man, GroffHasNothingToObjectTo) {
  if (run("command -v groff").status != 0) GTEST_SKIP() << "groff is not installed";
  const Finished f = run("gnomon man | groff -ww -man -Tutf8 -z");
  EXPECT_EQ(f.out + f.err, "");
}

TEST(Man, MandocHasNothingToObjectTo) {
  if (run("command -v mandoc").status != 0) GTEST_SKIP() << "mandoc is not installed";
  // A date would say when the program was built, not when the page was written.
  const Finished f = run("gnomon man | mandoc -T lint -W warning | grep -v 'missing date'");
  EXPECT_EQ(f.out + f.err, "");
}

TEST(Completion, EveryVerbOptionAndWordIsInAllOfThem) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Finished f = run(absl::StrCat("gnomon completion ", shell));
    EXPECT_EQ(f.status, 0) << f.err;
    for (const json& verb : table()) {
      EXPECT_THAT(f.out, HasSubstr(verb["name"].get<std::string>())) << shell;
      for (const json& option : verb["options"]) {
        std::string word = option["name"];
        if (shell == std::string("fish") && is_option(option)) word = " -l " + word.substr(2);
        if (is_option(option)) EXPECT_THAT(f.out, HasSubstr(word)) << shell;
        for (const std::string value : option["words"])
          EXPECT_THAT(f.out, HasSubstr(value)) << shell;
      }
    }
  }
}

TEST(Completion, TheShellsCanReadThem) {
  int shells = 0;
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    if (run("command -v " + shell).status != 0) continue;
    ++shells;
    const std::string file = scratch_path("completion." + shell);
    const Finished f =
        run("gnomon completion " + shell + " >" + file + "; " + shell + " -n " + file);
    EXPECT_EQ(f.status, 0) << shell << f.err;
    EXPECT_THAT(f.err, IsEmpty()) << shell;
  }
  if (shells == 0) GTEST_SKIP() << "neither bash, zsh nor fish is installed";
}

struct Completed {
  absl::string_view words;  ///< of bash: "=" is a word of its own
  absl::string_view expected;
};

TEST(Completion, BashCompletes) {
  if (run("command -v bash").status != 0) GTEST_SKIP() << "bash is not installed";
  constexpr Completed kCases[] = {
      {"gnomon comp", "compare completion"},
      {"gnomon compare --tl", "--tlb"},
      {"gnomon compare --tlb z", "zen2 zen3 zen4 zen5"},
      {"gnomon compare -t sky", "skylake"},
      {"gnomon compare --tlb = sky", "skylake"},
      {"gnomon compare --caches au", "auto"},
      {"gnomon replay --mmu native,sh", "native,shadow"},
      {"gnomon compare --cost v", "vtx"},
      {"gnomon compare --host-page 2", "2M"},
      {"gnomon compare --price ex", "exit="},
      {"gnomon compare --guest pci", "pcid="},
      {"gnomon compare --sweep guest.th", "guest.thp="},
      {"gnomon compare --mem ''", ""},
      {"gnomon compare only", "only.gtrace"},
      {"gnomon compare --export-html only", "only.gtrace"},
      {"gnomon convert a b --to lac", "lackey"},
      {"gnomon convert a b --to gem", ""},
      {"gnomon convert a b --from gem", "gem5"},
      {"gnomon gen zi", "zipf"},
      {"gnomon gen --outp", "--output"},
      {"gnomon gen -o only", "only.gtrace"},
      {"gnomon convert a --output only", "only.gtrace"},
      {"gnomon help pres", "presets"},
      {"gnomon config s", "show"},
      {"gnomon completion f", "fish"},
      {"gnomon record --no-f", "--no-follow"},
      {"gnomon record -- bash --no-f", ""},
  };
  const std::string script = scratch_path("gnomon.bash");
  const std::string directory = scratch_path("completing");
  ASSERT_EQ(run("gnomon completion bash >" + script + " && mkdir -p " + directory + " && touch " +
                directory + "/only.gtrace")
                .status,
            0);
  for (const Completed& c : kCases) {
    const Finished f = run(absl::StrCat(
        "cd ", directory,
        "\nbash -u -c 'source \"$0\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _gnomon; ",
        "echo \"${COMPREPLY[*]-}\"' ", script, " ", c.words));
    EXPECT_EQ(f.out, absl::StrCat(c.expected, "\n")) << c.words;
    EXPECT_THAT(f.err, IsEmpty()) << c.words;
  }
}

TEST(Completion, FishCompletes) {
  if (run("command -v fish").status != 0) GTEST_SKIP() << "fish is not installed";
  const std::string script = scratch_path("gnomon.fish");
  ASSERT_EQ(run("gnomon completion fish >" + script).status, 0);
  const auto completed = [&](absl::string_view line) {
    return run(absl::StrCat("HOME=", scratch_path("dir"), " fish --no-config -c 'source ", script,
                            "; complete -C \"", line, "\"'"))
        .out;
  };
  EXPECT_THAT(completed("gnomon compa"), StartsWith("compare\t"));
  EXPECT_THAT(completed("gnomon compare --tlb sky"), StartsWith("skylake"));
  EXPECT_THAT(completed("gnomon record --no-f"), StartsWith("--no-follow"));
  EXPECT_THAT(completed("gnomon gen zi"), StartsWith("zipf"));
}

TEST(Lists, AreComplete) {
  const std::string counters = run("gnomon counters").out;
  for (const CounterInfo& row : counter_table()) {
    EXPECT_THAT(counters, HasSubstr(std::string(row.name)));
    EXPECT_THAT(counters, HasSubstr(std::string(row.description)));
  }
  const std::string presets = run("gnomon presets").out;
  for (const TlbPreset& preset : tlb_presets())
    EXPECT_THAT(presets, HasSubstr(std::string(preset.name)));
  for (const CachePreset& preset : cache_presets())
    EXPECT_THAT(presets, HasSubstr(std::string(preset.name)));
  for (const CostPreset& preset : cost_presets())
    EXPECT_THAT(presets, HasSubstr(std::string(preset.name)));
  const std::string names = run("gnomon backends").out;
  for (const BackendInfo& b : backends()) EXPECT_THAT(names, HasSubstr(std::string(b.name)));
}

TEST(Lists, ComeAsJsonToo) {
  for (const std::string verb : {"counters", "presets", "backends", "version"}) {
    const json d = json_of("gnomon " + verb + " --json");
    EXPECT_EQ(d["schema"], "gnomon." + verb + "/1");
    EXPECT_GT(d[verb].size(), 2u) << verb;
  }
}

TEST(Version, IsThatOfTheLibraryAndNamesTheBuild) {
  for (const absl::string_view line : {"gnomon --version", "gnomon version", "gnomon -V"}) {
    EXPECT_THAT(run(std::string(line)).out,
                AllOf(HasSubstr(std::string(version())), HasSubstr("build type")));
  }
}

TEST(Version, NamesTheCommitOfACheckout) {
  const std::string source = GNOMON_TEST_SOURCE_DIR;
  const Finished head =
      run("test -e '" + source + "/.git' && git -C '" + source + "' rev-parse --short=12 HEAD");
  if (head.status != 0) GTEST_SKIP() << "not a checkout";
  const json d = json_of("gnomon version --json");
  bool found = false;
  for (const json& row : d["version"]) {
    if (row["name"] != "commit") continue;
    found = true;
    EXPECT_THAT(row["value"].get<std::string>(), ::testing::MatchesRegex("[0-9a-f]+(-dirty)?"));
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace gnomon::cli_test

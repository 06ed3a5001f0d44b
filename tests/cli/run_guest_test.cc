// SPDX-License-Identifier: Apache-2.0
//
// `gnomon run` and `gnomon demo` as a user meets them: what is printed, what is written, and how
// they end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST(Run, PrintsTheConsoleAndHowItEnded) {
  const Finished f = run("gnomon run popf");
  EXPECT_EQ(f.status, 0);
  EXPECT_THAT(f.out, AllOf(StartsWith("popf: pushf shows"), EndsWith("popf: PASS\r\n")));
  EXPECT_THAT(f.err, AllOf(StartsWith("gnomon: Multiboot 1"),
                           EndsWith("ended the machine with status 0\n")));
  const Finished quiet = run("gnomon run popf -q");
  EXPECT_EQ(quiet.out, f.out);
  EXPECT_THAT(quiet.err, IsEmpty());
}

TEST(Run, ATripleFaultIsShownWithRegisters) {
  const Finished f = run("gnomon run triple -q");
  EXPECT_EQ(f.status, 1);
  EXPECT_THAT(f.err, AllOf(StartsWith("gnomon: triple fault of processor 0 at "),
                           HasSubstr("\nrax "), HasSubstr("cr3 ")));
  const Finished json = run("gnomon run triple -q --json");
  EXPECT_EQ(json.status, 1);
  const nlohmann::json document = nlohmann::json::parse(json.out, nullptr, false);
  ASSERT_FALSE(document.is_discarded()) << json.out;
  EXPECT_EQ(document["end"], "triple_fault");
  EXPECT_THAT(document["registers"].get<std::string>(), HasSubstr("rip 0000"));
}

TEST(Run, AGuestThatWaitsForEverEndsWithoutFailure) {
  const std::string image = scratch_file("halt.bin", "\xfa\xf4");  // CLI, HLT
  const Finished f = run(absl::StrCat("gnomon run --format raw ", image, " </dev/null"));
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_THAT(f.err, HasSubstr("all processors wait, and no timer runs"));
}

TEST(Run, StatisticsComeWithJsonToo) {
  const Finished f = run("gnomon run popf -q --json --stats");
  EXPECT_EQ(f.status, 0);
  EXPECT_THAT(f.err, AllOf(StartsWith("guest\n"), HasSubstr("trace hash 0x")));
  EXPECT_FALSE(nlohmann::json::parse(f.out, nullptr, false).is_discarded());
}

TEST(Run, TwoRunsAreTheSame) {
  const nlohmann::json a = json_of("gnomon run teach32 --append run=fault -q --json");
  const nlohmann::json b = json_of("gnomon run teach32 --append run=fault -q --json --mmu nested");
  EXPECT_EQ(a, json_of("gnomon run teach32 --append run=fault -q --json"));
  for (const char* key : {"end", "status", "instructions", "guest_ns", "trace_hash", "memory_hash",
                          "exits", "console"}) {
    EXPECT_EQ(a[key], b[key]) << key;
  }
}

TEST(Run, EventsAreALineForEachExit) {
  const std::string file = scratch_path("events.txt");
  const nlohmann::json document =
      json_of(absl::StrCat("gnomon run popf -q --json --events ", file));
  uint64_t exits = 0;
  for (const auto& [name, count] : document["exits"].items()) exits += count.get<uint64_t>();
  const std::string text = contents_of(file);
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), exits);
  EXPECT_THAT(text, EndsWith("\n"));
  for (const std::string& line : lines) EXPECT_THAT(line, HasSubstr(" cpu0 0x"));
  // As of every file that is written, the name says whether it is compressed.
  EXPECT_EQ(run(absl::StrCat("gnomon run popf -q --events ", file, ".gz >/dev/null; gzip -dc ",
                             file, ".gz"))
                .out,
            text);
}

TEST(Run, ARecordingIsTheSameWhereverTheGuestLies) {
  const std::string here = scratch_path("here.gtrace"), copied = scratch_path("copied.gtrace");
  const std::string folder = scratch_path("guests");
  const Finished f =
      run(absl::StrCat("gnomon run popf -q --record ", here, " >/dev/null && mkdir ", folder,
                       " && cp \"$(dirname '", GNOMON_TEST_TOOL, "')/../guests/popf.elf\" ", folder,
                       " && GNOMON_GUESTS=", folder, " gnomon run popf -q --record ", copied));
  EXPECT_EQ(f.status, 0) << f.err;
  EXPECT_EQ(contents_of(here), contents_of(copied));
  EXPECT_EQ(json_of(absl::StrCat("gnomon info --json ", here))["traces"][0]["program"], "popf");
}

TEST(Run, ARecordingIsNotExportedOnceMore) {
  const std::string trace = scratch_path("recorded.gtrace"), again = scratch_path("again.gtrace");
  EXPECT_EQ(run(absl::StrCat("gnomon run popf -q --record ", trace)).status, 0);
  const Finished f = run(absl::StrCat("gnomon replay -q ", trace, " --export-guest ", again));
  EXPECT_EQ(f.status, 2);
  EXPECT_EQ(f.err, absl::StrCat("gnomon: ", trace,
                                ": a trace of a whole guest already, which a replay cannot write "
                                "once more; copy or convert it\n"));
  EXPECT_FALSE(std::ifstream(again));
}

TEST(Run, WhatIsReadIsNotWrittenOver) {
  const std::string image = scratch_file("image.bin", "\xf4");
  const std::string disk = scratch_file("disk.img", std::string(4096, 'd'));
  const std::string module = scratch_file("module", "m");
  const std::string input = scratch_file("typed", "i");
  const std::string guest = absl::StrCat("gnomon run --format raw ", image, " -d ", disk,
                                         " --module '", module, " with words' --input ", input);
  for (const std::string& file : {image, disk, module, input}) {
    const std::string before = contents_of(file);
    for (const char* option : {"--events", "--record"}) {
      const Finished f = run(absl::StrCat(guest, " ", option, " ", file));
      EXPECT_EQ(f.status, 2) << option << " " << file;
      EXPECT_EQ(f.err, absl::StrCat("gnomon: ", option, ": ", file, " is read by the guest\n"));
    }
    EXPECT_EQ(contents_of(file), before) << file;
    const Finished f = run(absl::StrCat("gnomon compare --guest ", image, " -d ", disk,
                                        " --module ", module, " --export-json ", file));
    if (file != input)
      EXPECT_EQ(f.err, absl::StrCat("gnomon: --export-json: ", file, " is read by the guest\n"));
    if (file != input) EXPECT_EQ(contents_of(file), before) << file;
  }
  const std::string both = scratch_path("both");
  EXPECT_THAT(run(absl::StrCat("gnomon run popf --events ", both, " --record ", both)).err,
              HasSubstr("name the same file"));
  for (const char* option : {"--events", "--record"}) {
    const Finished f = run(absl::StrCat("gnomon run popf ", option, " -"));
    EXPECT_EQ(f.status, 2);
    EXPECT_THAT(f.err, HasSubstr("standard output is the guest's console"));
  }
}

TEST(Run, WhatWasThereStaysIfItFails) {
  const std::string old = scratch_file("old", "old\n");
  for (const char* option : {"--events", "--record"}) {
    EXPECT_EQ(run(absl::StrCat("gnomon run /etc/passwd ", option, " ", old)).status, 2);
    EXPECT_EQ(run(absl::StrCat("gnomon run popf ", option, " ", old, " >/dev/full")).status, 2);
    EXPECT_EQ(contents_of(old), "old\n") << option;
  }
}

TEST(Run, AConsoleThatCannotBeWrittenEndsIt) {
  // A kernel that writes to its serial port for ever: MOV DX,3F8H; OUT DX,AL; JMP.
  const std::string image =
      scratch_file("endless.bin", absl::string_view("\x66\xba\xf8\x03\xee\xeb\xfd", 7));
  const std::string endless = absl::StrCat("gnomon run --format raw ", image);
  const Finished full =
      run(absl::StrCat("timeout 60 sh -c '", absl::StrCat("\"$0\" run --format raw ", image),
                       " >/dev/full' ", GNOMON_TEST_TOOL));
  EXPECT_EQ(full.status, 2);
  EXPECT_THAT(full.err, HasSubstr("gnomon: cannot write the console: No space left on device"));
  const Finished closed = run("gnomon run popf -q >&-");
  EXPECT_EQ(closed.status, 2);
  EXPECT_THAT(closed.err, HasSubstr("cannot write the console: Bad file descriptor"));
  const Finished piped = run(
      absl::StrCat("timeout 60 env '", GNOMON_TEST_TOOL, "' run --format raw ", image,
                   " -q | head -c 1; ", "echo; ", endless, " -q --limit 100 >/dev/null; echo $?"));
  EXPECT_THAT(piped.out, EndsWith("\n0\n"));
  EXPECT_THAT(piped.err, IsEmpty());
}

TEST(Run, AFileThatCannotBeWrittenEndsIt) {
  const std::string image =
      scratch_file("endless2.bin", absl::string_view("\x66\xba\xf8\x03\xee\xeb\xfd", 7));
  for (const char* option : {"--events", "--record"}) {
    const Finished f = run(absl::StrCat("timeout 60 env '", GNOMON_TEST_TOOL, "' run --format raw ",
                                        image, " ", option, " /dev/full >/dev/null"));
    EXPECT_EQ(f.status, 2) << option;
    EXPECT_THAT(f.err, HasSubstr("No space left on device")) << option;
  }
}

TEST(Run, AClosedStandardFileIsNotTakenForAnother) {
  const std::string closed = scratch_path("closed_events"), open = scratch_path("open_events");
  EXPECT_EQ(
      run(absl::StrCat("gnomon run popf -q --events ", open,
                       " >/dev/null; gnomon run popf -q --events ", closed, " 2>&- >/dev/null <&-"))
          .status,
      0);
  EXPECT_EQ(contents_of(closed), contents_of(open));
  EXPECT_EQ(run(absl::StrCat("gnomon run popf -q --events ", closed, " >&-")).status, 2);
  EXPECT_EQ(contents_of(closed), contents_of(open));
}

TEST(Run, AnUnknownGuestIsAnsweredWithThoseThatThereAre) {
  const Finished f = run("gnomon run no_such_kernel");
  EXPECT_EQ(f.status, 2);
  EXPECT_THAT(f.err, AllOf(StartsWith("gnomon: no_such_kernel: no such file"), HasSubstr("popf"),
                           HasSubstr("teach64")));
  EXPECT_THAT(run("gnomon run ./no_such_kernel").err, HasSubstr("./no_such_kernel: cannot open"));
  EXPECT_THAT(run(absl::StrCat("GNOMON_GUESTS=", scratch_path("nowhere"), " gnomon run popf")).err,
              HasSubstr("GNOMON_GUESTS names another folder"));
}

TEST(Run, WrongValuesAreNamedOnce) {
  const struct {
    const char* arguments;
    const char* message;
  } cases[] = {
      {"--mem 1M", "--mem: not 2M to 32G in steps of 2M"},
      {"--mem 3M", "--mem: not 2M to 32G in steps of 2M"},
      {"--mem 33G", "--mem: not 2M to 32G in steps of 2M"},
      {"--cpus 0", "--cpus: not between 1 and 64"},
      {"--cpus 1000", "--cpus: not between 1 and 64"},
      {"--board x", "--board: 'x' is none of pc, minimal"},
      {"--input /", "--input: cannot read /"},
      {"--input /nowhere", "--input: cannot open /nowhere"},
      {"--disk /nowhere", "--disk: cannot open /nowhere"},
      {"--module /nowhere", "--module: cannot open /nowhere"},
      {"--gdb 65536", "--gdb: not a port number, 0 to 65535"},
  };
  for (const auto& [arguments, message] : cases) {
    const Finished f = run(absl::StrCat("gnomon run popf ", arguments));
    EXPECT_EQ(f.status, 2) << arguments;
    EXPECT_EQ(f.err, absl::StrCat("gnomon: ", message, "\n")) << arguments;
    EXPECT_THAT(f.out, IsEmpty()) << arguments;
  }
}

TEST(Demo, TheGuestGoesWrongOnlyUnderNaiveTrapAndEmulate) {
  for (const char* name : {"popf", "holes"}) {
    const nlohmann::json document = json_of(absl::StrCat("gnomon demo --json ", name));
    EXPECT_EQ(document["shown"], true) << name;
    EXPECT_EQ(document["naive"]["passed"], false) << name;
    EXPECT_EQ(document["proper"]["passed"], true) << name;
    EXPECT_THAT(document["naive"]["console"].get<std::string>(), HasSubstr("\nFAIL ")) << name;
    EXPECT_THAT(run(absl::StrCat("gnomon demo ", name, " --mmu vtlb")).out,
                EndsWith("The guest went wrong in the first machine, and not in the second.\n"));
  }
}

// More than the console reads ahead, for a guest that takes nothing.
TEST(Run, InputThatNobodyTakesDoesNotHoldUpTheEnd) {
  const std::string image = scratch_file("halt.bin", "\xfa\xf4");  // CLI, HLT
  const Finished f =
      run(absl::StrCat("head -c 5000 /dev/zero | gnomon run --format raw -q ", image));
  EXPECT_EQ(f.status, 0) << f.err;
}

}  // namespace
}  // namespace gnomon::cli_test

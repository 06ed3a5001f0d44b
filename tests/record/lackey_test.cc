// SPDX-License-Identifier: Apache-2.0
//
// The same program under lackey, valgrind's own tracing tool, must make the same references in the
// same order.

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gnomon/traces/recorder.h"
#include "tests/record/collecting_writer.h"
#include "tests/record/need_valgrind.h"
#include "tests/support/temporary_directory.h"

namespace gnomon {
namespace {

namespace fs = std::filesystem;

// Both tools in one directory: its name is in the program's environment, and its length moves the
// stack. (So would the tool's name; both have six letters.)
class LackeyTest : public testing::Test {
 protected:
  void SetUp() override {
    NEED_VALGRIND();
    const fs::path ours = *recording::find_tool("");
    for (const auto& entry : fs::directory_iterator(ours)) {
      fs::create_symlink(fs::canonical(entry.path()), directory_.path() / entry.path().filename());
    }
    const fs::path core = fs::canonical(ours / "vgpreload_core-amd64-linux.so");
    const fs::path lackey = core.parent_path() / "lackey-amd64-linux";
    if (!fs::exists(lackey)) GTEST_SKIP() << "skipped: no " << lackey;
    fs::create_symlink(lackey, directory_.path() / lackey.filename());
  }

  std::vector<TraceRecord> record_with_lackey(const std::vector<std::string>& command) {
    const std::string log = directory_.path("lackey.log");
    std::vector<std::string> words = {"valgrind",          "--command-line-only=yes",
                                      "--tool=lackey",     "-q",
                                      "--vgdb=no",         "--vex-guest-chase=no",
                                      "--trace-mem=yes",   "--trace-children=yes",
                                      "--log-file=" + log, "--"};
    words.insert(words.end(), command.begin(), command.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::string library = absl::StrCat("VALGRIND_LIB=", directory_.path().string());
    std::vector<char*> environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      if (!absl::StartsWith(*variable, "VALGRIND_LIB=")) environment.push_back(*variable);
    }
    environment.push_back(library.data());
    environment.push_back(nullptr);
    pid_t pid = -1;
    EXPECT_EQ(
        posix_spawnp(&pid, "valgrind", nullptr, nullptr, arguments.data(), environment.data()), 0);
    int status = -1;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);

    // " S 1ffeffe78,8"; valgrind's own messages start otherwise.
    std::vector<TraceRecord> records;
    std::ifstream file(log);
    for (std::string line; std::getline(file, line);) {
      unsigned long long address = 0;
      unsigned size = 0;
      if (line.size() < 4 || std::sscanf(line.c_str() + 3, "%llx,%u", &address, &size) != 2)
        continue;
      const size_t kind = absl::string_view("ILSM").find(line[0] == 'I' ? 'I' : line[1]);
      if (kind == absl::string_view::npos) continue;
      records.push_back({.address = Gva{address},
                         .size = static_cast<uint16_t>(size),
                         .kind = static_cast<RecordKind>(kind)});
    }
    return records;
  }

  void compare(const std::vector<std::string>& command) {
    CollectingWriter ours;
    const auto result = record_program(
        {.command = command, .tool_directory = directory_.path(), .progress = {}}, ours);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->program_status, 0);
    const std::vector<TraceRecord> theirs = record_with_lackey(command);
    ASSERT_GT(theirs.size(), 10000u);
    const size_t common = std::min(theirs.size(), ours.records.size());
    // The kernel gives each run random bytes, on the stack behind the environment; the dynamic
    // linker reads a few beyond a string's end and uses them as indices into a table.
    size_t elsewhere = 0;
    for (size_t i = 0; i < common; ++i) {
      const TraceRecord &a = ours.records[i], &b = theirs[i];
      ASSERT_EQ(a.kind, b.kind) << "record " << i;
      ASSERT_EQ(a.size, b.size) << "record " << i;
      if (a.address != b.address) {
        ASSERT_LT(++elsewhere, 10u) << "record " << i << " at " << std::hex << a.address.value()
                                    << ", lackey: " << b.address.value();
      }
    }
    EXPECT_EQ(ours.records.size(), theirs.size());
  }

  test_support::TemporaryDirectory directory_;
};

TEST_F(LackeyTest, SameReferencesOfTrue) { compare({"/bin/true"}); }
TEST_F(LackeyTest, SameReferencesOfAShell) {
  compare({"/bin/sh", "-c", "i=0; while [ $i -lt 20 ]; do i=$((i+1)); done"});
}

}  // namespace
}  // namespace gnomon

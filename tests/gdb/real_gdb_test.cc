// SPDX-License-Identifier: Apache-2.0
// The gdb that is installed, on the guests that are built.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/temporary_directory.h"

#ifdef GNOMON_TEST_TOOL

namespace gnomon::vmm {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

std::string shell(const std::string& command) {
  std::string text;
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  char bytes[4096];
  for (size_t n = 0; (n = fread(bytes, 1, sizeof bytes, pipe)) > 0;) text.append(bytes, n);
  pclose(pipe);
  return text;
}

std::string guest(const char* file) {
  return (std::filesystem::path(GNOMON_TEST_TOOL).parent_path().parent_path() / "guests" / file)
      .string();
}

/// What gdb prints for these commands (each after -ex), and then how the machine ended.
std::string debug(const std::string& image, const std::string& symbols, const std::string& options,
                  const std::string& commands) {
  const test_support::TemporaryDirectory directory;
  const std::string said = directory.path("said");
  return shell(absl::StrCat("timeout 60 ", GNOMON_TEST_TOOL, " run ", image, " --gdb 0 ", options,
                            " >/dev/null 2>", said, " </dev/null & machine=$!\n",
                            "for i in $(seq 100); do port=$(sed -n 's/.*target remote //p' ", said,
                            "); test -n \"$port\" && break; sleep 0.1; done\n",
                            "timeout 50 gdb -nx -batch -ex 'set confirm off' -ex 'set tcp "
                            "connect-timeout 5' -ex \"target remote $port\" ",
                            commands, " ", symbols, " 2>&1 </dev/null\n",
                            "wait $machine; echo \"machine: $?\""));
}

#define SKIP_WITHOUT(file)                                                     \
  if (shell("command -v gdb").empty()) GTEST_SKIP() << "gdb is not installed"; \
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not built"

TEST(RealGdb, DebugsA32BitKernel) {
  const std::string image = guest("paging.elf");
  SKIP_WITHOUT(image);
  const std::string text = debug(
      image, image, "",
      "-ex 'break guest_main' -ex continue -ex backtrace -ex 'stepi' -ex 'info registers eip cr3' "
      "-ex 'x/2i $pc' -ex 'monitor info registers' -ex 'info threads' -ex 'delete' -ex continue");
  EXPECT_THAT(text, ContainsRegex("Breakpoint 1, guest_main"));
  EXPECT_THAT(text, ContainsRegex("#0  guest_main"));
  EXPECT_THAT(text, HasSubstr("EIP="));
  EXPECT_THAT(text, ContainsRegex("cr3 +0x"));
  EXPECT_THAT(text, ContainsRegex("Thread 1 .CPU#0 .running"));
  EXPECT_THAT(text, HasSubstr("exited normally"));
  EXPECT_THAT(text, HasSubstr("machine: 0"));
}

TEST(RealGdb, DebugsA64BitKernel) {
  const std::string image = guest("paging64.elf"), symbols = guest("paging64.elf64");
  SKIP_WITHOUT(symbols);
  const std::string text = debug(
      image, symbols, "--gdb-registers x86-64",
      "-ex 'hbreak guest_main' -ex continue -ex backtrace -ex 'stepi' -ex 'p $efer' -ex 'p $xmm0' "
      "-ex 'info registers rip' -ex 'delete' -ex continue");
  EXPECT_THAT(text, ContainsRegex("Breakpoint 1, guest_main"));
  EXPECT_THAT(text, HasSubstr("exited normally"));
  EXPECT_THAT(text, HasSubstr("machine: 0"));
}

TEST(RealGdb, Kills) {
  const std::string image = guest("paging.elf");
  SKIP_WITHOUT(image);
  EXPECT_THAT(debug(image, image, "", "-ex stepi -ex kill"), HasSubstr("machine: 0"));
}

}  // namespace
}  // namespace gnomon::vmm

#endif  // GNOMON_TEST_TOOL

// SPDX-License-Identifier: Apache-2.0
//
// Real programs, recorded.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gnomon/traces/recorder.h"
#include "tests/record/collecting_writer.h"
#include "tests/record/need_valgrind.h"
#include "tests/support/temporary_directory.h"

namespace gnomon {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Each test has a temporary directory of its own, in which nothing may be left.
class ProgramsTest : public testing::Test {
 protected:
  void SetUp() override {
    NEED_VALGRIND();
    setenv("TMPDIR", directory_.path().c_str(), 1);
  }
  void TearDown() override {
    for (const auto& entry : fs::directory_iterator(directory_.path())) {
      if (entry.path().filename().string().starts_with("gnomon-record")) {
        ADD_FAILURE() << entry.path() << " was left";
      }
    }
    unsetenv("TMPDIR");
  }

  static RecordOptions options(std::vector<std::string> command) {
    RecordOptions options;
    options.command = std::move(command);
    return options;
  }
  static RecordOptions shell(const std::string& script) {
    return options({"/bin/sh", "-c", script});
  }

  RecordResult record(const RecordOptions& options) {
    const auto result = record_program(options, writer_);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return {};
    check_consistency(*result);
    return *result;
  }

  // What must hold for every recording.
  void check_consistency(const RecordResult& result) {
    uint64_t references = 0;
    for (const TraceRecord& record : writer_.records) {
      references += references_of(record.kind);
      ASSERT_GT(record.size, 0);
      ASSERT_LE(record.size, kMaxRecordBytes);
    }
    EXPECT_EQ(references, result.references);
    EXPECT_EQ(writer_.events.size(), result.events);
    std::set<uint32_t> alive = {0};
    for (const TraceEvent& event : writer_.events) {
      if (event.kind == EventKind::kFork) {
        EXPECT_TRUE(alive.contains(event.process)) << "a dead process forks";
        EXPECT_TRUE(alive.insert(static_cast<uint32_t>(event.value)).second);
      }
      if (event.kind == EventKind::kSwitch) {
        EXPECT_TRUE(alive.contains(event.process)) << "a process runs that nobody started";
      }
      if (event.kind == EventKind::kExit && event.flags == 1) {
        EXPECT_EQ(alive.erase(event.process), 1u);
      }
    }
    if (!result.interrupted && !result.limit_reached) EXPECT_TRUE(alive.empty());
  }

  // Of each fetch, whether it lies in executable memory, as far as the events tell.
  void check_fetches() {
    std::map<uint64_t, uint64_t> mapped;  // pages that may be executed, of process 0
    size_t next = 0;
    bool first = true;
    for (size_t i = 0; i < writer_.records.size(); ++i) {
      for (; next < writer_.events.size() && writer_.events_at[next] <= i; ++next) {
        const TraceEvent& event = writer_.events[next];
        if (event.kind != EventKind::kMap && event.kind != EventKind::kProtect) continue;
        for (uint64_t at = event.address; at < event.address + event.length; at += 4096) {
          mapped[at / 4096] = event.flags;
        }
      }
      const TraceRecord& record = writer_.records[i];
      if (record.kind != RecordKind::kFetch) continue;
      first = false;
      const auto found = mapped.find(record.address.value() / 4096);
      ASSERT_NE(found, mapped.end()) << std::hex << record.address.value();
      ASSERT_TRUE(found->second & kMapExec) << std::hex << record.address.value();
    }
    EXPECT_FALSE(first);
  }

  CollectingWriter writer_;
  test_support::TemporaryDirectory directory_;
};

TEST_F(ProgramsTest, True) {
  const RecordResult result = record(options({"true"}));
  EXPECT_EQ(result.program_status, 0);
  EXPECT_EQ(result.processes, 1u);
  EXPECT_EQ(result.threads, 1u);
  EXPECT_EQ(result.messages, "");
  ASSERT_FALSE(writer_.events.empty());
  EXPECT_EQ(writer_.events.front().kind, EventKind::kExec);
  EXPECT_THAT(writer_.events.front().text, HasSubstr("true"));
  EXPECT_EQ(writer_.of_kind(EventKind::kExit).size(), 1u);
  check_fetches();
}

TEST_F(ProgramsTest, MappingsNameTheirFiles) {
  record(options({"true"}));
  std::map<std::string, std::set<uint64_t>> files;
  bool stack = false;
  for (const TraceEvent& event : writer_.of_kind(EventKind::kMap)) {
    EXPECT_EQ(event.address % 4096, 0u);
    EXPECT_EQ(event.length % 4096, 0u);
    stack |= (event.flags & kMapStack) != 0 && event.text == "[stack]";
    if (event.file != 0) files[event.text].insert(event.file);
  }
  EXPECT_TRUE(stack);
  bool libc = false;
  for (const auto& [name, numbers] : files) {
    EXPECT_EQ(numbers.size(), 1u) << name;
    libc |= name.find("libc.so") != std::string::npos;
  }
  EXPECT_TRUE(libc);
  EXPECT_FALSE(writer_.of_kind(EventKind::kBreak).empty());
  EXPECT_FALSE(writer_.of_kind(EventKind::kProtect).empty());
  EXPECT_FALSE(writer_.of_kind(EventKind::kUnmap).empty());
}

TEST_F(ProgramsTest, TheSameTwice) {
  record(options({"true"}));
  const std::vector<TraceRecord> records = std::exchange(writer_.records, {});
  const std::vector<TraceEvent> events = std::exchange(writer_.events, {});
  writer_.events_at.clear();
  record(options({"true"}));
  ASSERT_EQ(records.size(), writer_.records.size());
  EXPECT_EQ(events.size(), writer_.events.size());
  // The dynamic linker uses a few of the kernel's random bytes as indices; see lackey_test.cc.
  size_t elsewhere = 0;
  for (size_t i = 0; i < records.size(); ++i) elsewhere += records[i] != writer_.records[i];
  EXPECT_LT(elsewhere, 10u);
}

TEST_F(ProgramsTest, KernelReadsAndWrites) {
  const fs::path file = directory_.path("data");
  std::ofstream(file) << std::string(1000, 'x');
  // Not cat, which has the kernel copy from file to file when its output is one.
  record(options({"dd", "if=" + file.string(), "of=/dev/null", "bs=1000", "status=none"}));
  const auto has = [&](EventKind kind, uint64_t length) {
    for (const TraceEvent& event : writer_.of_kind(kind)) {
      if (event.length == length) return true;
    }
    return false;
  };
  EXPECT_TRUE(has(EventKind::kKernelWrite, 1000)) << "read() of the file";
  EXPECT_TRUE(has(EventKind::kKernelRead, 1000)) << "write() of it";
  EXPECT_TRUE(has(EventKind::kKernelRead, file.string().size() + 1)) << "its name, to open it";
}

TEST_F(ProgramsTest, ForksPipesAndExecs) {
  const RecordResult result = record(shell("echo abc | cat | cat; true"));
  EXPECT_EQ(result.program_status, 0);
  EXPECT_EQ(result.processes, 4u);
  EXPECT_EQ(writer_.of_kind(EventKind::kFork).size(), 3u);
  EXPECT_EQ(writer_.of_kind(EventKind::kExec).size(), 3u);
  EXPECT_EQ(writer_.of_kind(EventKind::kExit).size(), 4u);
}

TEST_F(ProgramsTest, ExecOnly) {
  const RecordResult result = record(shell("exec cat /dev/null"));
  EXPECT_EQ(result.processes, 1u);
  const std::vector<TraceEvent> execs = writer_.of_kind(EventKind::kExec);
  ASSERT_EQ(execs.size(), 2u);
  EXPECT_THAT(execs[1].text, HasSubstr("cat /dev/null"));
  EXPECT_EQ(execs[1].process, 0u);
}

TEST_F(ProgramsTest, AnExecWithAnEmptyEnvironmentIsFollowed) {
  record(options({"env", "-i", "/bin/true"}));
  EXPECT_EQ(writer_.of_kind(EventKind::kExec).size(), 2u);
}

TEST_F(ProgramsTest, ClosingDescriptorsDoesNotEndTheRecording) {
  const RecordResult result = record(
      shell("for i in 3 4 5 6 7 8 9; do eval \"exec $i>&-\"; done; ulimit -n 20; cat /dev/null"));
  EXPECT_EQ(result.program_status, 0);
  EXPECT_EQ(result.processes, 2u);
  EXPECT_EQ(writer_.of_kind(EventKind::kExit).size(), 2u);
}

TEST_F(ProgramsTest, ChildrenLeftAlone) {
  RecordOptions options = shell("cat /dev/null; exit 5");
  options.follow_children = false;
  const RecordResult result = record(options);
  EXPECT_EQ(result.program_status, 5);
  EXPECT_EQ(result.processes, 1u);
  EXPECT_TRUE(writer_.of_kind(EventKind::kFork).empty());
  EXPECT_EQ(writer_.of_kind(EventKind::kExec).size(), 1u);
}

TEST_F(ProgramsTest, Statuses) {
  EXPECT_EQ(record(shell("exit 42")).program_status, 42);
  EXPECT_EQ(writer_.of_kind(EventKind::kExit).back().value, 42u);
}

TEST_F(ProgramsTest, KilledPrograms) {
  const RecordResult result = record(shell("kill -9 $$"));
  EXPECT_EQ(result.program_signal, SIGKILL);
  EXPECT_EQ(result.program_status, 128 + SIGKILL);
  EXPECT_GE(writer_.of_kind(EventKind::kExit).back().value, 128u);
}

TEST_F(ProgramsTest, ChildrenThatOutliveTheProgramAreWaitedFor) {
  const RecordResult result = record(shell("(sleep 0.3; cat /dev/null) & exit 3"));
  EXPECT_EQ(result.program_status, 3);
  EXPECT_EQ(writer_.of_kind(EventKind::kExec).size(), 3u);
}

TEST_F(ProgramsTest, TheLimitEndsTheProgram) {
  RecordOptions options = shell("while :; do :; done");
  options.limit = 300000;
  const RecordResult result = record(options);
  EXPECT_TRUE(result.limit_reached);
  EXPECT_LE(result.references, 300000u);
  EXPECT_GE(result.references, 299999u);
  EXPECT_EQ(result.program_signal, SIGKILL);
}

TEST_F(ProgramsTest, AnInterruptEndsTheProgramAndKeepsTheTrace) {
  RecordOptions options = shell("trap '' INT TERM; while :; do :; done");
  bool sent = false;
  options.progress = [&](const RecordProgress& progress) {
    if (!sent && progress.references > 500000) {
      sent = true;
      kill(getpid(), SIGINT);
    }
  };
  const RecordResult result = record(options);
  EXPECT_TRUE(sent);
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(result.program_signal, SIGKILL);  // it ignores all others
  EXPECT_GT(result.references, 500000u);
}

TEST_F(ProgramsTest, AFailingWriterEndsTheProgram) {
  CollectingWriter full(100000);
  const auto result = record_program(shell("while :; do :; done"), full);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().message(), "the disk is full");
}

TEST_F(ProgramsTest, WhatIsMissingIsNamed) {
  const auto message = [&](const RecordOptions& options) {
    const auto result = record_program(options, writer_);
    EXPECT_FALSE(result.ok());
    return std::string(result.status().message());
  };
  EXPECT_EQ(message(options({})), "no program to record");
  EXPECT_EQ(message(options({"gnomon-no-such"})), "gnomon-no-such: no such program in PATH");
  EXPECT_EQ(message(options({"/no/such"})), "/no/such: no such program");
  EXPECT_EQ(message(options({"/dev/null"})), "/dev/null: not an executable file");
  RecordOptions elsewhere = options({"true"});
  elsewhere.tool_directory = "/no/tools";
  EXPECT_THAT(message(elsewhere), HasSubstr("/no/tools: no recording tool"));
  const fs::path broken = directory_.path("broken");
  // For a 32-bit processor: there is no tool for those.
  std::string elf = "\177ELF\1\1\1";
  elf.resize(4096);
  elf[16] = 2;
  elf[18] = 3;
  std::ofstream(broken) << elf;
  fs::permissions(broken, fs::perms::owner_all);
  EXPECT_THAT(message(options({broken})), HasSubstr("valgrind did not start"));
}

TEST_F(ProgramsTest, TheToolMayLieWhereListsAreSeparated) {
  // Blanks and colons separate the files of LD_PRELOAD, of which valgrind makes one.
  const fs::path tools = directory_.path("its own: tools");
  fs::create_directory_symlink(recording::find_tool("").value(), tools);
  const fs::path said = directory_.path("said");
  RecordOptions options = shell("/bin/true 2>" + said.string());
  options.tool_directory = tools;
  EXPECT_EQ(record(options).program_status, 0);
  std::string line;
  std::getline(std::ifstream(said), line);
  EXPECT_EQ(line, "");
  EXPECT_TRUE(fs::exists(tools));
}

TEST_F(ProgramsTest, Threads) {
  if (!fs::exists("/usr/bin/xz")) GTEST_SKIP() << "skipped: no xz";
  const fs::path file = directory_.path("data");
  std::ofstream(file) << std::string(100000, 'x');
  const RecordResult result =
      record(options({"xz", "-0", "-T2", "--block-size=50000", "-k", file}));
  EXPECT_EQ(result.program_status, 0);
  EXPECT_EQ(result.processes, 1u);
  EXPECT_EQ(result.threads, 3u);
  EXPECT_EQ(writer_.of_kind(EventKind::kThread).size(), 2u);
  EXPECT_EQ(writer_.of_kind(EventKind::kExit).size(), 3u);
}

TEST(Describe, NamesProgramValgrindAndMachine) {
  RecordOptions options;
  options.command = {"sort", "-n", "file"};
  const TraceInfo info = describe_recording(options);
  EXPECT_EQ(info.program, "sort -n file");
  EXPECT_THAT(info.recorder, HasSubstr("gnomon record"));
  EXPECT_THAT(info.machine, HasSubstr("Linux"));
  if (recording::find_valgrind().ok()) EXPECT_THAT(info.recorder, HasSubstr("valgrind-"));
}

}  // namespace
}  // namespace gnomon

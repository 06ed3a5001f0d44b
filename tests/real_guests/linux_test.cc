// SPDX-License-Identifier: Apache-2.0
//
// Debian's kernel for virtual machines, from its decompressor to user space and power-off.
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "tests/real_guests/initramfs.h"
#include "tests/real_guests/kernels.h"
#include "tests/support/scale.h"
#include "tests/support/temporary_directory.h"

namespace gnomon::vmm::real_guests {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Twice what one processor needs.
constexpr uint64_t kMostInstructions = 1'200'000'000;

// The self-tests of cryptography would take two thirds of all instructions.
constexpr const char* kCommandLine = "console=ttyS0 nokaslr cryptomgr.notests panic=-1";

// Processes, pipes, files, floating point.
constexpr absl::string_view kInit = R"(#!/bin/sh
mount -t proc proc /proc
processors=$(grep -c ^processor /proc/cpuinfo)
sum=$(seq 1 1000 | awk '{s += $1 / 2} END {print s}')
echo "init: $(uname -m), $processors processors, sum $sum"
read line
echo "read: <$line>"
poweroff -f
)";

// Typed before the kernel starts, while it sets the port up again and again.
constexpr absl::string_view kTyped = "typed from the beginning\n";

std::string file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

std::string make_initramfs() {
  Initramfs root;
  for (const char* const folder : {"bin", "dev", "proc"}) root.directory(folder);
  root.character_device("dev/console", 5, 1);
  root.character_device("dev/null", 1, 3);
  root.program("bin/busybox", file_bytes(find_kernel_file("busybox")));
  for (const char* const name : {"awk", "grep", "mount", "poweroff", "seq", "sh", "uname"}) {
    root.link(absl::string_view(std::string("bin/") + name), "busybox");
  }
  root.program("init", kInit);
  return root.finish();
}

struct LinuxRun {
  RunEnd end;
  std::string console;
  uint64_t instructions = 0, trace_hash = 0, memory_hash = 0;
};

LinuxRun boot(const std::string& backend, unsigned cpus = 1) {
  const test_support::TemporaryFile initramfs(make_initramfs());
  MachineOptions options;
  options.backend = backend;
  options.board.cpus = cpus;
  options.board.memory_bytes = 256u << 20;
  options.load.image = find_kernel_file("vmlinuz");
  options.load.command_line = kCommandLine;
  options.load.modules = {initramfs.path()};
  const auto guest = start(options);
  LinuxRun run;
  if (guest->machine == nullptr) return run;
  constexpr uint64_t kSlice = 1'000'000;
  absl::string_view to_type = kTyped;
  for (uint64_t ran = 0; ran < cpus * kMostInstructions && run.end.reason == RunEnd::Reason::kLimit;
       ran += kSlice) {
    to_type.remove_prefix(guest->machine->board().console_input(to_type));
    run.end = guest->machine->run(kSlice);
  }
  run.console = guest->console;
  run.instructions = guest->machine->instructions();
  run.trace_hash = guest->machine->trace_hash();
  run.memory_hash = guest->machine->memory_hash();
  return run;
}

void expect_good_run(const LinuxRun& run, unsigned cpus) {
  EXPECT_EQ(run.end.reason, RunEnd::Reason::kExit) << run.end.text;
  EXPECT_EQ(run.end.status, 0);
  EXPECT_THAT(run.console, HasSubstr("Linux version "));
  EXPECT_THAT(run.console, HasSubstr("ACPI: Using IOAPIC for interrupt routing"));
  EXPECT_THAT(run.console, HasSubstr("Run /init as init process"));
  EXPECT_THAT(run.console,
              HasSubstr("init: x86_64, " + std::to_string(cpus) + " processors, sum 250250"));
  EXPECT_THAT(run.console, HasSubstr("read: <typed from the beginning>"));
  EXPECT_THAT(run.console, HasSubstr("reboot: Power down"));
  for (const char* const trouble :
       {"BUG:", "WARNING:", "Call Trace", "Oops", "stall", "panic - "}) {
    EXPECT_THAT(run.console, Not(HasSubstr(trouble)));
  }
}

TEST(RealLinux, RunsToPowerOffTheSameWayUnderEveryBackend) {
  GNOMON_NEEDS_FILES("vmlinuz", "busybox");
  const LinuxRun first = boot("shadow");
  ASSERT_NO_FATAL_FAILURE(expect_good_run(first, 1));
  std::printf("%llu instructions\n", static_cast<unsigned long long>(first.instructions));
  std::vector<std::string> others = {"nested"};
  if (full_scale())
    others = {"native", "nested", "npt", "vtlb", "agile", "shadow:directory=full-trap"};
  for (const std::string& backend : others) {
    SCOPED_TRACE(backend);
    const LinuxRun run = boot(backend);
    EXPECT_EQ(run.console, first.console);
    EXPECT_EQ(run.instructions, first.instructions);
    EXPECT_EQ(run.trace_hash, first.trace_hash);
    EXPECT_EQ(run.memory_hash, first.memory_hash);
  }
}

TEST(RealLinux, StartsASecondProcessor) {
  GNOMON_NEEDS_FILES("vmlinuz", "busybox");
  const LinuxRun run = boot("shadow", 2);
  expect_good_run(run, 2);
  EXPECT_THAT(run.console, HasSubstr("smp: Brought up 1 node, 2 CPUs"));
}

}  // namespace
}  // namespace gnomon::vmm::real_guests

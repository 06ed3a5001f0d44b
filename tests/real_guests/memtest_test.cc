// SPDX-License-Identifier: Apache-2.0
//
// memtest86+, which drives the hardware itself: page tables of its own, timers, the text screen,
// other processors.
#include <gmock/gmock.h>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "tests/real_guests/kernels.h"
#include "vmm/cpu/cpu.h"

namespace gnomon::vmm::real_guests {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kSlice = 50'000'000;

class Memtest {
 public:
  Memtest(const char* file, const char* backend, unsigned cpus = 1,
          uint64_t memory_bytes = 16u << 20) {
    MachineOptions options;
    options.load.image = find_kernel_file(file);
    options.backend = backend;
    options.board.cpus = cpus;
    options.board.memory_bytes = memory_bytes;
    guest_ = start(options);
  }

  Machine& machine() { return *guest_->machine; }
  std::string screen() {
    return absl::StrJoin(machine().board().text_screen(machine().memory()), "\n");
  }

  /// Until the screen has this text.
  void run_until(const char* text, uint64_t most_instructions = 4'000'000'000) {
    for (uint64_t ran = 0; ran < most_instructions; ran += kSlice) {
      const RunEnd end = machine().run(kSlice);
      ASSERT_EQ(end.reason, RunEnd::Reason::kLimit) << end.text << "\n" << screen();
      if (absl::StrContains(screen(), text)) return;
    }
    FAIL() << "never shows \"" << text << "\":\n" << screen();
  }

 private:
  std::unique_ptr<RealGuest> guest_;
};

class MemtestFile : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, MemtestFile,
                         ::testing::Values("memtest86+x64.bin", "memtest86+ia32.bin"),
                         [](const auto& name) {
                           return absl::StrContains(name.param, "x64") ? "x64" : "ia32";
                         });

TEST_P(MemtestFile, TestsMemoryUnderShadowPaging) {
  GNOMON_NEEDS_FILES(GetParam());
  Memtest shadow(GetParam(), "shadow");
  ASSERT_NO_FATAL_FAILURE(shadow.run_until("Test #5"));
  const std::string screen = shadow.screen();
  EXPECT_THAT(screen, HasSubstr("Memtest86+ v"));
  EXPECT_THAT(screen, HasSubstr("Gnomon virtual processor"));
  EXPECT_THAT(screen, HasSubstr("Memory  :   16MB"));
  EXPECT_THAT(screen, HasSubstr("999MHz")) << "the time-stamp counter, measured by a timer";
  EXPECT_THAT(screen, HasSubstr("CPU: 1 Cores 1 Threads"));
  EXPECT_THAT(screen, HasSubstr("Status: Testing"));
  EXPECT_THAT(screen, HasSubstr("Errors: 0"));
  EXPECT_THAT(screen, Not(HasSubstr("Pass  0%"))) << "it counts";
  // Entries of ours for split large pages stay, although memtest86+ runs with CR0.WP = 0.
  EXPECT_LT(shadow.machine().counters()[Counter::kHiddenFaults], 20'000u);

  Memtest nested(GetParam(), "nested");
  for (uint64_t ran = 0; ran < shadow.machine().clock().now() / 10; ran += kSlice)
    nested.machine().run(kSlice);
  EXPECT_EQ(nested.screen(), screen);
  EXPECT_EQ(nested.machine().instructions(), shadow.machine().instructions());
  EXPECT_EQ(nested.machine().trace_hash(), shadow.machine().trace_hash());
  EXPECT_EQ(nested.machine().memory_hash(), shadow.machine().memory_hash());
}

TEST_P(MemtestFile, FindsABadByte) {
  GNOMON_NEEDS_FILES(GetParam());
  Memtest memtest(GetParam(), "shadow");
  ASSERT_NO_FATAL_FAILURE(memtest.run_until("Test #4"));
  constexpr uint64_t kBad = 0xabcde8;
  const auto turn_a_bit = [&] {
    uint8_t byte = 0;
    ASSERT_TRUE(memtest.machine().read_memory(Gpa(kBad), absl::MakeSpan(&byte, 1)));
    byte ^= 0x10;
    ASSERT_TRUE(memtest.machine().write_memory(Gpa(kBad), absl::MakeConstSpan(&byte, 1)));
  };
  // Often enough to come between writing and reading; the first error puts up a banner over its own
  // line, until a key is pressed.
  bool banner = false;
  for (int n = 0; n < 40 && !absl::StrContains(memtest.screen(), "abcde8"); ++n) {
    turn_a_bit();
    memtest.machine().run(kSlice);
    if (banner || !absl::StrContains(memtest.screen(), "Press any key")) continue;
    banner = true;
    EXPECT_THAT(memtest.screen(), HasSubstr("Status: Failed!"));
    EXPECT_EQ(memtest.machine().board().keyboard_input("z"), 1u);
  }
  EXPECT_TRUE(banner);
  EXPECT_THAT(memtest.screen(), HasSubstr("abcde8"));
  EXPECT_THAT(memtest.screen(), Not(HasSubstr("Errors: 0 ")));
}

TEST(MemtestProcessors, AreAllUsed) {
  GNOMON_NEEDS_FILES("memtest86+x64.bin");
  Memtest memtest("memtest86+x64.bin", "shadow", /*cpus=*/2);
  ASSERT_NO_FATAL_FAILURE(memtest.run_until("Test #4"));
  EXPECT_THAT(memtest.screen(), HasSubstr("SMP: 2T"));
  EXPECT_THAT(memtest.screen(), HasSubstr("Errors: 0"));
  EXPECT_GT(memtest.machine().cpu(1).instructions, 1'000'000u);
}

}  // namespace
}  // namespace gnomon::vmm::real_guests

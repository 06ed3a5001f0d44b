// SPDX-License-Identifier: Apache-2.0
#include "gnomon/vmm/monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/monitor/ran.h"
#include "tests/paged_guest/paged_guest.h"

namespace gnomon::vmm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Then = MonitorAnswer::Then;

/// The 32-bit guest after it has stored to its page, and before it ends.
constexpr uint64_t kAllButTheEnd = 11;

class MonitorOn : public testing::TestWithParam<const char*> {};

TEST_P(MonitorOn, ShowsMemory) {
  const auto machine = ran(paged_guest_32(GetParam()), kAllButTheEnd);
  Monitor monitor(*machine);
  EXPECT_EQ(monitor.run("x /2i 0x100018").text,
            "0x00100018:  8b 0b                    mov (%ebx), %ecx\n"
            "0x0010001a:  41                       inc %ecx\n");
  EXPECT_EQ(monitor.run("x /4xb $ebx").text, "00000000c0000000: 0x01 0x00 0x00 0x00\n");
  EXPECT_EQ(monitor.run("x/2dw 0xc0000000").text, "00000000c0000000:          1          0\n");
  EXPECT_EQ(monitor.run("xp /xg 0x200000").text, "0000000000200000: 0x0000000000000001\n");
  EXPECT_EQ(monitor.run("xp /2xw 0x12000").text, "0000000000012000: 0x00200067 0x00201005\n");
  EXPECT_EQ(monitor.run("xp /2c 0x100018").text, "0000000000100018: '\\x8b' '\\x0b'\n");
  EXPECT_EQ(monitor.run("x 0xc0002000").text, "00000000c0002000: Cannot access memory\n");
  EXPECT_EQ(monitor.run("gva2gpa 0xc0001234").text, "gpa: 0x201234\n");
  EXPECT_EQ(monitor.run("gva2gpa 0").text, "Unmapped\n");
  EXPECT_THAT(monitor.run("gpa2hpa 0x200008").text,
              HasSubstr("Host physical address for 0x200008 is 0x"));
  EXPECT_THAT(monitor.run("gpa2hva 0x900000").text,
              HasSubstr("no host frame at 0x900000: RAM that was never used"));
}

TEST_P(MonitorOn, LeavesNoTrace) {
  const auto machine = ran(paged_guest_32(GetParam()),
                           7);  // page 0xc0001000 and the store to 0xc0000000 are to come
  Monitor monitor(*machine);
  const uint64_t before = machine->memory_hash();
  const std::string counters = monitor.run("info counters").text;
  for (const char* line : {"info tlb", "info mem", "x /64xb 0xc0000ff0", "x /10i $eip",
                           "xp /100xb 0x900000", "gva2gpa 0xc0001000", "info shadow 0xc0001000",
                           "info registers -a", "info memory", "info exits", "audit"}) {
    monitor.run(line);
    EXPECT_EQ(monitor.run("info counters").text, counters) << line;
  }
  EXPECT_EQ(machine->memory_hash(), before);
  EXPECT_EQ(machine->p2m().lookup(Gpa(0x900000)).state(), FrameState::kLazy);
  EXPECT_EQ(monitor.run("xp /xw 0x12004").text, "0000000000012004: 0x00201005\n");
}

TEST_P(MonitorOn, StepsAndBreaks) {
  const auto machine = paged_guest_32(GetParam());
  Monitor monitor(*machine);
  EXPECT_EQ(monitor.run("step").text, "0x00100005:  0f 22 d8                 mov %eax, %cr3\n");
  EXPECT_EQ(monitor.run("break 0x100018; info breakpoints").text, "0x100018\n");
  EXPECT_EQ(monitor.run("c").then, Then::kContinue);
  const RunEnd end = machine->run(1000);
  EXPECT_EQ(end.reason, RunEnd::Reason::kBreakpoint);
  EXPECT_EQ(monitor.run("print $eip; p $ebx - 0x10").text, "0x100018\n0xbffffff0\n");
  EXPECT_EQ(monitor.run("delete 0x100018; delete 0x100018").text, "no breakpoint at 0x100018\n");
  EXPECT_EQ(monitor.run("step 3; x /xw 0xc0000000").text,
            "0x0010001d:  31 c0                    xor %eax, %eax\n00000000c0000000: 0x00000001\n");
  const MonitorAnswer last = monitor.run("step 100; this is not reached");
  EXPECT_EQ(last.then, Then::kEnded);
  ASSERT_TRUE(last.end.has_value());
  EXPECT_EQ(last.end->reason, RunEnd::Reason::kExit);
}

TEST_P(MonitorOn, AfterAStepWithoutBreakpointsTheNextOneStops) {
  const auto machine = paged_guest_32(GetParam());
  machine->step(0);
  machine->set_breakpoint(0x100005, true);
  EXPECT_EQ(machine->run(1000).reason, RunEnd::Reason::kBreakpoint);
  EXPECT_EQ(machine->instructions(), 1u);
}

TEST_P(MonitorOn, ShowsBothWalks) {
  const auto machine = ran(paged_guest_32(GetParam()), kAllButTheEnd);
  Monitor monitor(*machine);
  const std::string text = monitor.run("info shadow 0xc0000000").text;
  if (std::string(GetParam()) == "native" || std::string(GetParam()) == "nested") {
    EXPECT_EQ(text, absl::StrCat("the backend ", GetParam(),
                                 " keeps no shadow tables: the processor walks the guest's own\n"));
    return;
  }
  EXPECT_THAT(text, HasSubstr("guest paging: 32-bit"));
  EXPECT_THAT(text, HasSubstr("gpa 0x00010c00: 0000000000012027 rwuA"));
  EXPECT_THAT(text, HasSubstr("gpa 0x00012000: 0000000000200067 rwuAD"));
  EXPECT_THAT(text, HasSubstr("gpa 0x00200000, 4K page"));
  const std::string host = monitor.run("gpa2hpa 0x200000").text;
  const uint64_t hpa = machine->p2m().lookup(Gpa(0x200000)).frame().value();
  EXPECT_THAT(text, HasSubstr(absl::StrFormat("hpa %#010x, 4K page", hpa))) << host;
  EXPECT_THAT(monitor.run("info shadow 0xc0001000").text, HasSubstr("not filled"));
  EXPECT_THAT(monitor.run("info shadow").text, HasSubstr("bytes of tables"));
}

TEST_P(MonitorOn, IsSound) {
  const auto machine = ran(paged_guest_32(GetParam()), kAllButTheEnd);
  EXPECT_EQ(Monitor(*machine).run("audit").text, "sound\n");
}

INSTANTIATE_TEST_SUITE_P(Backends, MonitorOn, testing::Values("native", "shadow", "vtlb", "nested"),
                         [](const auto& about) { return std::string(about.param); });

TEST(Monitor, RegistersHaveQemusLayout) {
  const auto machine = ran(paged_guest_32("shadow"), kAllButTheEnd);
  const std::string text = Monitor(*machine).run("info registers").text;
  EXPECT_THAT(text, HasSubstr("EAX=00000000 EBX=c0000000 ECX=00000001 EDX=000000f4\n"));
  EXPECT_THAT(text, HasSubstr("EIP=00100024 EFL=00000046 [---Z-P-] CPL=0 II=0 HLT=0\n"));
  EXPECT_THAT(text, HasSubstr(" DPL=0 CS32 [-RA]\n"));
  EXPECT_THAT(text, HasSubstr("CR2=00000000 CR3=00010000 CR4=00000000\n"));
  EXPECT_THAT(text, HasSubstr("EFER=0000000000000000\n"));
}

TEST(Monitor, WithoutPaging) {
  const auto machine = paged_guest_32("shadow");
  Monitor monitor(*machine);
  EXPECT_EQ(monitor.run("info tlb").text, "PG disabled\n");
  EXPECT_EQ(monitor.run("info mem").text, "PG disabled\n");
  EXPECT_EQ(monitor.run("gva2gpa 0x12345").text, "gpa: 0x12345\n");
  EXPECT_EQ(monitor.run("info cpus").text, "* CPU #0: pc=0x0000000000100000 instructions=0\n");
  EXPECT_THAT(monitor.run("info memory").text,
              HasSubstr("0000000000000000-0000000000ffffff ram, "));
}

TEST(Monitor, BadInputIsOneLine) {
  const auto machine = paged_guest_32("shadow");
  Monitor monitor(*machine);
  const std::string deep(1000, '(');
  for (const std::string& line : {std::string("nonsense"),
                                  std::string("info"),
                                  std::string("info nonsense"),
                                  std::string("x"),
                                  std::string("x /"),
                                  std::string("x /0x 0"),
                                  std::string("x /99999999999999999999x 0"),
                                  std::string("x /q 0"),
                                  std::string("x 0x"),
                                  std::string("x 0x11111111111111111"),
                                  std::string("x $nothing"),
                                  std::string("x 1 2"),
                                  std::string("x (1"),
                                  std::string("cpu 1"),
                                  std::string("cpu -1"),
                                  std::string("step 1000000000000"),
                                  std::string("delete 1"),
                                  std::string("sendkey"),
                                  std::string("sendkey nonsense"),
                                  std::string("sendkey a"),
                                  std::string("info tlb 1"),
                                  std::string("quit now"),
                                  "x " + deep,
                                  "x " + std::string(1000, '-'),
                                  std::string("\x01\xff\x80"),
                                  std::string(5000, 'a')}) {
    const MonitorAnswer answer = monitor.run(line);
    EXPECT_EQ(answer.then, Then::kStay) << line;
    EXPECT_EQ(std::count(answer.text.begin(), answer.text.end(), '\n'), 1) << line << "\n"
                                                                           << answer.text;
    EXPECT_LT(answer.text.size(), 200u) << line;
  }
  EXPECT_EQ(monitor.run("").text, "");
  EXPECT_EQ(monitor.run(" ; ;").text, "");
  EXPECT_EQ(monitor.run("stop").text, "");
  EXPECT_EQ(monitor.run("q").then, Then::kQuit);
  EXPECT_EQ(monitor.run("print 2 * (3 + 4) - -1").text, "0xf\n");
}

}  // namespace
}  // namespace gnomon::vmm

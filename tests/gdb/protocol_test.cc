// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "gnomon/vmm/monitor.h"
#include "tests/gdb/debugger.h"
#include "tests/paged_guest/paged_guest.h"
#include "vmm/cpu/cpu.h"

namespace gnomon::vmm {
namespace {

using ::testing::HasSubstr;
using Turn = GdbServer::Turn;

TEST(GdbServer, WaitsBeforeTheFirstInstruction) {
  Debugger d(paged_guest_32("shadow"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(d.run(), Turn::kStopped);
  EXPECT_EQ(d.machine().instructions(), 0u);
  EXPECT_THAT(d.ask("qSupported:swbreak+;xmlRegisters=i386"), HasSubstr("qXfer:features:read+"));
  EXPECT_EQ(d.ask("?"), "T05thread:1;");
  EXPECT_EQ(d.ask("qC"), "QC1");
  EXPECT_EQ(d.ask("qfThreadInfo"), "m1");
  EXPECT_EQ(d.ask("qsThreadInfo"), "l");
  EXPECT_EQ(d.ask("vCont?"), "vCont;c;C;s;S");
  EXPECT_EQ(d.ask("QStartNoAckMode"), "OK");
  EXPECT_EQ(d.next(), 0);  // no acknowledgement is left, and none comes
}

TEST(GdbServer, BreaksStepsAndReadsRegisters) {
  for (const char* backend : {"native", "shadow", "vtlb", "nested"}) {
    Debugger d(paged_guest_32(backend));
    d.ask("qSupported:swbreak+");
    EXPECT_EQ(d.ask("Z0,100018,1"), "OK");
    EXPECT_EQ(d.ask("c"), "T05thread:1;swbreak:;") << backend;
    EXPECT_EQ(d.ask("p8"), "18001000");
    EXPECT_EQ(d.ask("p3"), "000000c0");  // EBX
    EXPECT_EQ(d.ask("mc0000000,4"), "00000000");
    EXPECT_EQ(d.ask("m100018,2"), "8b0b");  // no byte was patched
    EXPECT_EQ(d.ask("z0,100018,1"), "OK");
    EXPECT_EQ(d.ask("vCont;s:1"), "T05thread:1;");
    EXPECT_EQ(d.ask("P1=29000000"), "OK");  // ECX
    EXPECT_EQ(d.ask("s"), "T05thread:1;");
    EXPECT_EQ(d.ask("s"), "T05thread:1;");
    EXPECT_EQ(d.ask("mc0000000,4"), "2a000000") << backend;
    EXPECT_EQ(d.monitor("info mem"), Monitor(d.machine()).run("info mem").text);
    EXPECT_EQ(d.monitor("stop"), "");
    d.send_raw(gdb::to_packet("c"));
    d.run_to_the_end();
    ASSERT_EQ(d.end.reason, RunEnd::Reason::kExit);
    d.server().finish(d.end);
    EXPECT_EQ(d.packet(), "W00");
  }
}

TEST(GdbServer, RegistersGoBackAsTheyCame) {
  for (const auto registers : {GdbOptions::Registers::kI386, GdbOptions::Registers::kX86_64}) {
    GdbOptions options;
    options.registers = registers;
    Debugger d(paged_guest_32("shadow"), options);
    d.ask("Z1,10001d,1");
    d.ask("c");
    const std::string all = d.ask("g");
    EXPECT_EQ(d.ask("G" + all), "OK");
    EXPECT_EQ(d.ask("g"), all);
    EXPECT_EQ(d.ask("G00"), "E01");
    size_t at = 0;
    for (unsigned n = 0;; ++n) {
      const std::string one = d.ask(absl::StrFormat("p%x", n));
      if (one == "E01") break;
      EXPECT_EQ(one, all.substr(at, one.size())) << n;
      EXPECT_EQ(d.ask(absl::StrFormat("P%x=%s", n, one)), "OK") << n;
      at += one.size();
    }
    EXPECT_EQ(at, all.size());
    EXPECT_EQ(d.ask("g"), all);
  }
}

TEST(GdbServer, DescribesItsRegisters) {
  GdbOptions options;
  options.registers = GdbOptions::Registers::kX86_64;
  Debugger d(paged_guest_32("shadow"), options);
  std::string xml;
  for (std::string part = "m"; part[0] == 'm';) {
    part = d.ask(absl::StrFormat("qXfer:features:read:target.xml:%x,fb", xml.size()));
    ASSERT_TRUE(!part.empty() && (part[0] == 'm' || part[0] == 'l')) << part;
    xml += part.substr(1);
  }
  EXPECT_THAT(xml, HasSubstr("<architecture>i386:x86-64</architecture>"));
  EXPECT_THAT(xml, HasSubstr("<reg name=\"fs_base\" bitsize=\"64\" type=\"int64\"/>"));
  EXPECT_TRUE(absl::EndsWith(xml, "</target>\n"));
  EXPECT_EQ(d.ask("qXfer:features:read:other.xml:0,ff"), "E00");
  EXPECT_EQ(d.ask("qXfer:features:read:target.xml:ffffffffffffffff,ffffffffffffffff"), "l");
}

TEST(GdbServer, ChoosesRegistersByTheMode) {
  Debugger d(paged_guest_long("shadow"));
  EXPECT_THAT(d.ask("qXfer:features:read:target.xml:0,100"),
              HasSubstr("<architecture>i386</architecture>"));
  d.send_raw(gdb::to_packet("c"));
  d.run();
  d.run();
  d.send_raw("\x03");
  EXPECT_EQ(d.packet(), "T02thread:1;");
  EXPECT_EQ(d.machine().cpu(0).long_mode(), true);
  d.connect_again();
  d.run();
  EXPECT_THAT(d.ask("qXfer:features:read:target.xml:0,100"),
              HasSubstr("<architecture>i386:x86-64</architecture>"));
}

TEST(GdbServer, WritesMemory) {
  Debugger d(paged_guest_32("shadow"));
  EXPECT_EQ(d.ask("M200000,4:01020304"), "OK");
  EXPECT_EQ(d.ask("m200000,4"), "01020304");
  EXPECT_EQ(d.ask(absl::string_view("X200001,2:#\x04", 12)), "OK");  // an escaped #
  EXPECT_EQ(d.ask("m200000,4"), "01230404");
  EXPECT_EQ(d.ask("X200000,0:"), "OK");
  EXPECT_EQ(d.ask("M200000,5:01"), "E01");
  EXPECT_EQ(d.ask("Mffff0000,1:00"), "E0e");
  // Code that was decoded is decoded anew: `inc %ecx` becomes `dec %ecx`.
  d.ask("Z0,10001a,1");
  d.ask("c");
  EXPECT_EQ(d.ask("M10001a,1:49"), "OK");
  EXPECT_EQ(d.ask("s"), "T05thread:1;");
  EXPECT_EQ(d.ask("p1"), "00230404");
}

TEST(GdbServer, ADebuggerThatDetachesLetsTheMachineRun) {
  Debugger d(paged_guest_32("shadow"));
  d.ask("Z0,100018,1");
  EXPECT_EQ(d.ask("D"), "OK");
  d.run_to_the_end();
  EXPECT_EQ(d.end.reason, RunEnd::Reason::kExit);
  EXPECT_EQ(d.said, "");
}

TEST(GdbServer, ADebuggerThatVanishesLeavesTheMachineStopped) {
  Debugger d(paged_guest_32("shadow"));
  d.ask("s");
  d.hang_up();
  EXPECT_EQ(d.said, "GDB server: the debugger is gone; the machine waits for the next one\n");
  EXPECT_EQ(d.run(), Turn::kStopped);
  d.connect_again();
  EXPECT_EQ(d.ask("p8"), "05001000");
  d.send_raw(gdb::to_packet("k"));
  d.run_to_the_end();
  EXPECT_EQ(d.turn, Turn::kKilled);
}

TEST(GdbServer, ATripleFaultCanBeLookedAt) {
  Debugger d(paged_guest_32("shadow"));
  EXPECT_EQ(d.ask("M100018,2:0f0b"), "OK");  // UD2, and there is no IDT
  d.send_raw(gdb::to_packet("c"));
  const std::string words = d.packet();
  EXPECT_THAT(gdb::from_hex(words.substr(1)).value_or(""), HasSubstr("triple fault"));
  EXPECT_EQ(d.packet(), "T0bthread:1;");
  EXPECT_EQ(d.ask("p8"), "18001000");
  d.send_raw(gdb::to_packet("c"));
  d.run_to_the_end();
  EXPECT_EQ(d.end.reason, RunEnd::Reason::kShutdown);
}

TEST(GdbServer, ProcessorsAreThreads) {
  Debugger d(paged_guest_32("shadow", 3));
  EXPECT_EQ(d.ask("qfThreadInfo"), "m1,2,3");
  EXPECT_EQ(d.ask("T3"), "OK");
  EXPECT_EQ(d.ask("T4"), "E01");
  EXPECT_EQ(d.ask("Hg2"), "OK");
  EXPECT_EQ(d.ask("qC"), "QC2");
  EXPECT_EQ(d.ask("Hg0"), "OK");
  EXPECT_EQ(d.ask("Hg9"), "E01");
  EXPECT_EQ(gdb::from_hex(d.ask("qThreadExtraInfo,2")), "CPU#1 [waits for start-up]");
  EXPECT_EQ(d.ask("Hg1"), "OK");
  EXPECT_EQ(d.ask("vCont;s:1;c"), "T05thread:1;");
  EXPECT_EQ(d.machine().instructions(), 1u);
}

TEST(GdbServer, TakesWhatEverComes) {
  Debugger d(paged_guest_32("shadow"));
  for (const char* bad : {"",
                          "m",
                          "m0",
                          "m0,",
                          "m,4",
                          "mzz,4",
                          "m0,4x",
                          "m11111111111111111,4",
                          "M0,4",
                          "M0,4:",
                          "M0,4:zz",
                          "X0,4:a",
                          "p",
                          "pzz",
                          "pffff",
                          "P",
                          "P0",
                          "P0=",
                          "P0=zz",
                          "Pffff=00",
                          "G",
                          "Gz",
                          "H",
                          "Hx",
                          "Hc",
                          "Hcz",
                          "Hg-2",
                          "T",
                          "Tz",
                          "T0",
                          "Z",
                          "Z0",
                          "Z0,",
                          "Z0,z,1",
                          "Z9,0,1",
                          "z0,1",
                          "q",
                          "qXfer:features:read:target.xml:",
                          "qXfer:features:read:target.xml:0",
                          "qRcmd,0",
                          "qRcmd,zz",
                          "qThreadExtraInfo,9",
                          "vCont",
                          "vCont;",
                          "vCont;x",
                          "vCont;s:",
                          "vCont;s:9",
                          "vCont;c:zz",
                          "v",
                          "cz",
                          "sz",
                          "Q",
                          "\x01\x02",
                          "!",
                          "R00",
                          "i",
                          "A"}) {
    const std::string answer = d.ask(bad);
    EXPECT_TRUE(answer.empty() || (answer[0] == 'E' && answer.size() == 3))
        << bad << " -> " << answer;
  }
  EXPECT_EQ(d.ask("m200000,ffffffffffffffff").size(), 0x4000u);  // as much as a packet holds
  EXPECT_EQ(d.ask("mfffffffffffffff0,20"), "E0e");
  d.send_raw("$m200000,4#00");  // a wrong checksum
  char c = d.next();
  EXPECT_EQ(c, '-');
  EXPECT_EQ(d.machine().instructions(), 0u);
  d.send_raw("$" + std::string(1 << 20, 'A'));
  for (int i = 0; i < 100 && d.server().connected(); ++i) d.run();
  EXPECT_THAT(d.said, HasSubstr("longer than any may be"));
  d.connect_again();
  EXPECT_EQ(d.ask("?"), "T05thread:1;");
}

TEST(GdbServer, RefusesAPortThatIsTaken) {
  Debugger d(paged_guest_32("shadow"));
  GdbOptions options;
  options.port = d.server().port();
  const auto second = GdbServer::create(d.machine(), options);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("cannot use port"));
}

}  // namespace
}  // namespace gnomon::vmm

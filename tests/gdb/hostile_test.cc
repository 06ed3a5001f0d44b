// SPDX-License-Identifier: Apache-2.0
//
// A debugger that sets what it likes to anything, and steps.
#include <gtest/gtest.h>

#include "absl/strings/str_format.h"
#include "tests/gdb/debugger.h"
#include "tests/paged_guest/paged_guest.h"
#include "tests/scenario/random.h"

namespace gnomon::vmm {
namespace {

class HostileDebugger {
 public:
  explicit HostileDebugger(uint64_t seed) : random_(seed) {}

  std::string packet() {
    switch (random_.below(12)) {
      case 0:
      case 1:
      case 2:
        return absl::StrFormat("P%x=%s", random_.below(80),
                               digits(random_.below(5) == 0 ? 16
                                      : random_.below(2)    ? 4
                                                            : 8));
      case 3: return absl::StrFormat("m%x,%x", number(), random_.below(0x5000));
      case 4: return absl::StrFormat("m%x,%x", number(), number());
      case 5: return absl::StrFormat("M%x,4:%s", number(), digits(4));
      case 6:
        return absl::StrFormat("%c%x,%x,1", random_.below(2) ? 'Z' : 'z', random_.below(3),
                               number());
      case 7: return absl::StrFormat("s%x", number());
      case 8: return absl::StrFormat("H%c%x", 'g', random_.below(4));
      case 9:
        return absl::StrCat("qRcmd,", gdb::to_hex(kCommands[random_.below(std::size(kCommands))]));
      case 10: return junk();
      default: return random_.below(2) ? "s" : "vCont;s:1;c";
    }
  }

 private:
  static constexpr absl::string_view kCommands[] = {
      "info tlb",         "info mem",       "info registers -a",   "x /40i $pc",   "x /20s $rsp",
      "info shadow $rsp", "audit",          "xp /10xg 0xfee00000", "gva2gpa $cr2", "step 20",
      "info memory",      "print $sp * $sp"};

  uint64_t number() {
    constexpr uint64_t kEdges[] = {0,
                                   1,
                                   0x100018,
                                   0xfee0'0000,
                                   0xffff'ffff,
                                   0x1'0000'0000,
                                   0xc000'0ffe,
                                   0x7fff'ffff'ffff,
                                   0x8000'0000'0000,
                                   ~uint64_t{0},
                                   ~uint64_t{7}};
    const uint64_t which = random_.below(std::size(kEdges) + 2);
    return which < std::size(kEdges) ? kEdges[which] : random_.next() >> random_.below(64);
  }
  std::string digits(size_t bytes) {
    std::string text;
    const bool edge = random_.below(3) == 0;
    for (size_t i = 0; i < bytes; ++i)
      text += edge ? "ff" : absl::StrFormat("%02x", random_.below(256));
    return text;
  }
  std::string junk() {
    std::string text;
    for (uint64_t n = random_.below(30); n != 0; --n) text += static_cast<char>(random_.below(256));
    // These end the session, or let the machine run until something stops it.
    if (!text.empty() && (text[0] == 'k' || text[0] == 'D' || text[0] == 'c' || text[0] == 'C'))
      text[0] = '!';
    return text;
  }

  scenario::Random random_;
};

TEST(HostileDebugger, GetsAnAnswerToEverything) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE(seed);
    constexpr const char* kBackends[] = {"shadow", "nested", "vtlb", "native"};
    const char* const backend = kBackends[seed % 4];
    GdbOptions options;
    options.registers =
        seed % 3 == 0 ? GdbOptions::Registers::kI386 : GdbOptions::Registers::kX86_64;
    Debugger d(seed % 2 == 0 ? paged_guest_32(backend, 1 + seed % 3) : paged_guest_long(backend),
               options);
    HostileDebugger hostile(seed);
    for (int i = 0; i < 100 && d.end.reason == RunEnd::Reason::kLimit; ++i) {
      const std::string packet = hostile.packet();
      if (packet.rfind("qRcmd,", 0) == 0) {
        d.monitor(gdb::from_hex(packet.substr(6)).value_or(""));
        continue;
      }
      std::string answer = d.ask(packet);
      // Words before the stop of a machine that cannot go on.
      if (!answer.empty() && answer[0] == 'O' && answer != "OK") answer = d.packet();
      if (answer == "no packet but 0") break;  // it has ended, or waits for what never comes
      ASSERT_LE(answer.size(), gdb::kMostPayload) << i << ": " << packet;
    }
  }
}

}  // namespace
}  // namespace gnomon::vmm

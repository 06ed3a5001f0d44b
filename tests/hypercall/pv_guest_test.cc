// SPDX-License-Identifier: Apache-2.0
//
// The guest pv64 (tools/guests), which changes its page tables by hypercalls only, and guests that
// do not know that direct paging validates theirs.
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gnomon/traces/gtrace.h"
#include "gtest/gtest.h"
#include "tests/paged_guest/paged_guest.h"
#include "vmm/trap/hypercalls.h"

namespace gnomon::vmm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kEnough = 5'000'000;

#ifdef GNOMON_TEST_TOOL
std::string pv_guest() {
  const std::filesystem::path tool(GNOMON_TEST_TOOL);
  return (tool.parent_path().parent_path() / "guests" / "pv64.elf").string();
}
#else
std::string pv_guest() { return ""; }
#endif

/// Backends with options that make a difference.
const char* const kBackends[] = {"native",
                                 "shadow",
                                 "vtlb",
                                 "nested",
                                 "npt",
                                 "agile",
                                 "direct",
                                 "shadow:unsync=off",
                                 "direct:batch=1,pins=1"};

struct PvRun {
  RunEnd end;
  std::string console;
  uint64_t trace_hash = 0, memory_hash = 0;
  uint64_t calls = 0;
};

PvRun run_pv(const std::string& backend, const std::string& command_line,
             MachineOptions options = {}, MachineObserver* observer = nullptr) {
  PvRun r;
  options.load.image = pv_guest();
  options.load.command_line = command_line;
  options.backend = backend;
  options.audit = true;
  options.board.console_output = [&](absl::string_view text) {
    r.console.append(text.data(), text.size());
  };
  auto machine = Machine::create(options);
  if (!machine.ok()) {
    r.end.text = std::string(machine.status().message());
    return r;
  }
  (*machine)->set_observer(observer);
  r.end = (*machine)->run(kEnough);
  r.trace_hash = (*machine)->trace_hash();
  r.memory_hash = (*machine)->memory_hash();
  for (const ExitCount& e : (*machine)->exit_counts()) {
    if (e.name == "hypercall") r.calls = e.count;
  }
  return r;
}

class PvGuest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(pv_guest())) GTEST_SKIP() << "the guests are not built";
  }
};

TEST_P(PvGuest, Passes) {
  const PvRun r = run_pv(GetParam(), "");
  ASSERT_EQ(r.end.reason, RunEnd::Reason::kExit) << r.end.text << "\n" << r.console;
  EXPECT_EQ(r.end.status, 0) << r.console;
  EXPECT_THAT(r.console, HasSubstr("pv64: PASS"));
  EXPECT_THAT(r.console, HasSubstr("pv64: written by a call\n"));
  EXPECT_THAT(r.console, Not(HasSubstr("FAIL")));
  const bool direct = absl::string_view(GetParam()).substr(0, 6) == "direct";
  EXPECT_THAT(r.console, HasSubstr(direct ? "PASS refused: a table mapped writable"
                                          : "PASS done: a table mapped writable"));
  EXPECT_GT(r.calls, 50u);
}

TEST_P(PvGuest, PassesWithModelledTlbs) {
  MachineOptions options;
  options.tlb = "zen4";
  const PvRun r = run_pv(GetParam(), "", options);
  EXPECT_EQ(r.end.reason, RunEnd::Reason::kExit) << r.end.text;
  EXPECT_EQ(r.end.status, 0) << r.console;
}

TEST_P(PvGuest, RunsTheSameEverywhere) {
  const PvRun here = run_pv(GetParam(), "plain=1"), native = run_pv("native", "plain=1");
  ASSERT_EQ(here.end.reason, RunEnd::Reason::kExit) << here.end.text << "\n" << here.console;
  EXPECT_EQ(here.end.status, 0) << here.console;
  EXPECT_EQ(here.console, native.console);
  EXPECT_EQ(here.trace_hash, native.trace_hash);
  EXPECT_EQ(here.memory_hash, native.memory_hash);
}

INSTANTIATE_TEST_SUITE_P(Backends, PvGuest, testing::ValuesIn(kBackends),
                         [](const testing::TestParamInfo<const char*>& of) {
                           std::string name = of.param;
                           for (char& c : name)
                             c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

TEST(Hypercalls, AreNamedInTheTraceOfExits) {
  if (!std::filesystem::exists(pv_guest())) GTEST_SKIP() << "the guests are not built";
  struct : MachineObserver {
    void on_exit(const ExitEvent& event) override { seen.insert(event.what); }
    std::set<std::string> seen;
  } log;
  const PvRun r = run_pv("native", "", {}, &log);
  ASSERT_EQ(r.end.reason, RunEnd::Reason::kExit) << r.end.text;
  for (const trap::HypercallInfo& row : trap::hypercall_table()) {
    EXPECT_EQ(log.seen.count(absl::StrCat("vmcall ", row.name)), 1u) << row.name;
  }
  EXPECT_EQ(log.seen.count("vmcall unknown"), 1u);
}

TEST(Hypercalls, AreAllInTheDocument) {
  std::ifstream file(std::string(GNOMON_TEST_SOURCE_DIR) + "/docs/hypercalls.md");
  std::stringstream text;
  text << file.rdbuf();
  for (const trap::HypercallInfo& row : trap::hypercall_table()) {
    EXPECT_THAT(text.str(), HasSubstr(absl::StrCat("| ", static_cast<int>(row.id), " | `", row.name,
                                                   "` | ", row.description, " |")));
  }
}

TEST(DirectPaging, SaysThatItRefusesTables) {
  const auto machine = paged_guest_long("direct");
  ASSERT_NE(machine, nullptr);
  const RunEnd end = machine->run(1000);
  EXPECT_EQ(end.reason, RunEnd::Reason::kRefused);
  EXPECT_EQ(end.text,
            "direct paging refuses the guest's page tables at level 4, gpa 0x10000: the guest must "
            "use hypercalls "
            "(docs/hypercalls.md)");
}

TEST(DirectPaging, SaysThatItLacksAMode) {
  const auto machine = paged_guest_32("direct");
  ASSERT_NE(machine, nullptr);
  const RunEnd end = machine->run(1000);
  EXPECT_EQ(end.reason, RunEnd::Reason::kRefused);
  EXPECT_EQ(end.text,
            "direct paging has no 32-bit page tables, only 4-level ones (docs/hypercalls.md)");
}

TEST(DirectPaging, SaysThatItCannotBeRecorded) {
  TraceInfo about;
  about.guest = true;
  const auto writer = create_gtrace_writer(std::make_unique<StringSink>(), about).value();
  MachineOptions options;
  options.tlb = "zen4";
  options.trace = writer.get();
  options.load.image = pv_guest();
  options.backend = "direct";
  EXPECT_EQ(Machine::create(options).status().message(),
            "a recording cannot be made under direct paging, whose tables hold host addresses; "
            "take another backend");
}

}  // namespace
}  // namespace gnomon::vmm

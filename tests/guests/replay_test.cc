// SPDX-License-Identifier: Apache-2.0
//
// A run that is recorded, and the replay of its trace: the same machine, as far as memory is
// concerned, counts the same.
#include <memory>
#include <ostream>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "gnomon/replay/session.h"
#include "gnomon/traces/gtrace.h"
#include "tests/guests/guest_run.h"
#include "tests/support/temporary_directory.h"

namespace gnomon::vmm::guests_test {
namespace {

struct Guest {
  const char* name;
  unsigned cpus;
  const char* command_line;
};
void PrintTo(const Guest& guest, std::ostream* os) { *os << guest.name; }

constexpr Guest kGuests[] = {
    {"teach32", 1, "n=200 size=8 rounds=2 forks=3 hz=1000"},
    {"teach64", 1, "n=200 size=8 rounds=2 forks=3 hz=1000"},
    {"selfmap", 1, ""},
    {"paging", 1, ""},
    {"paging64", 1, ""},
    {"rights64", 1, ""},
    {"ring3", 1, ""},
    {"smc", 1, ""},
    {"smp", 2, ""},
};
constexpr uint64_t kMemory = 8u << 20;
constexpr absl::string_view kTlb = "zen4";

MachineOptions exact_options(const Guest& guest, absl::string_view backend) {
  MachineOptions o = options_for(guest.name, backend, guest.command_line);
  o.board.cpus = guest.cpus;
  o.board.memory_bytes = kMemory;
  o.tlb = std::string(kTlb);
  return o;
}

class Replay : public testing::TestWithParam<std::tuple<Guest, std::string>> {
 protected:
  void SetUp() override { REQUIRE_GUESTS(); }
  const Guest& guest() const { return std::get<0>(GetParam()); }
  const std::string& backend() const { return std::get<1>(GetParam()); }
};

TEST_P(Replay, CountsWhatTheRunCounted) {
  auto sink = std::make_unique<StringSink>();
  const StringSink& bytes = *sink;
  TraceInfo about;
  about.guest = true;
  const auto writer = create_gtrace_writer(std::move(sink), about).value();
  MachineOptions o = exact_options(guest(), backend());
  o.trace = writer.get();
  const Outcome run = run_guest(o);
  expect_success(run);
  ASSERT_TRUE(writer->finish().ok());
  EXPECT_EQ(writer->left_out(), 0u);

  const test_support::TemporaryFile file(bytes.bytes());
  ReplaySetup setup;
  setup.traces = {file.path()};
  setup.machine.tlb = std::string(kTlb);
  setup.machine.vcpus = guest().cpus;
  setup.audit = true;
  const auto replayed = replay(setup, std::vector<std::string>{backend()});
  ASSERT_TRUE(replayed.ok()) << replayed.status();
  const ReplayResult& r = replayed->machines.at(0);
  EXPECT_THAT(r.problems, testing::IsEmpty());
  EXPECT_GT(r.counters[Counter::kAccesses], 1000u);
  expect_same_counters(run.counters, r.counters);
}

TEST_P(Replay, IsOfTheGuestThatRunsWithoutTlbs) {
  MachineOptions o = exact_options(guest(), backend());
  const Outcome exact = run_guest(o);
  o.tlb = "off";
  const Outcome fast = run_guest(o);
  expect_same(exact, fast);
}

INSTANTIATE_TEST_SUITE_P(All, Replay,
                         testing::Combine(testing::ValuesIn(kGuests),
                                          testing::Values("native", "shadow", "shadow:unsync=off",
                                                          "vtlb", "nested", "npt", "agile")),
                         [](const auto& p) {
                           return absl::StrCat(std::get<0>(p.param).name, "_",
                                               as_name(std::get<1>(p.param)));
                         });

}  // namespace
}  // namespace gnomon::vmm::guests_test

// SPDX-License-Identifier: Apache-2.0
//
// The teaching kernels: page tables, processes, copy-on-write, demand paging. Under each backend
// they are the same guest.
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "tests/guests/guest_run.h"

namespace gnomon::vmm::guests_test {
namespace {

/// The work that a run has: what the kernel does by default takes some 100 million instructions.
absl::string_view work() { return small_scale() ? short_work() : ""; }

/// The guest without virtualization.
const Outcome& native(const std::string& guest, unsigned cpus, absl::string_view command_line) {
  static std::map<std::tuple<std::string, unsigned, std::string>, Outcome> known;
  const auto key = std::make_tuple(guest, cpus, std::string(command_line));
  const auto at = known.find(key);
  if (at != known.end()) return at->second;
  MachineOptions o = options_for(guest, "native", command_line);
  o.board.cpus = cpus;
  return known.emplace(key, run_guest(o)).first->second;
}

class Teach : public testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  void SetUp() override { REQUIRE_GUESTS(); }
  const std::string& guest() const { return std::get<0>(GetParam()); }
  const std::string& backend() const { return std::get<1>(GetParam()); }
};

TEST_P(Teach, IsTheSameGuestAsOnBareMetal) {
  const Outcome o = run_guest(options_for(guest(), backend(), work()));
  expect_success(o);
  EXPECT_THAT(o.console, testing::HasSubstr("init: all programs ended as they should"));
  expect_same(o, native(guest(), 1, work()));
}

TEST_P(Teach, IsTheSameGuestWhateverTheHostPages) {
  MachineOptions o = options_for(guest(), backend(), short_work());
  o.host_page = PageSize::k2M;
  const Outcome large = run_guest(o);
  expect_success(large);
  expect_same(large, native(guest(), 1, short_work()));
}

TEST_P(Teach, IsTheSameGuestOnTwoProcessors) {
  MachineOptions o = options_for(guest(), backend(), short_work());
  o.board.cpus = 2;
  for (const PageSize page : {PageSize::k4K, PageSize::k2M}) {
    o.host_page = page;
    const Outcome two = run_guest(o);
    expect_success(two);
    expect_same(two, native(guest(), 2, short_work()));
  }
}

TEST_P(Teach, RepeatsItself) {
  const MachineOptions o = options_for(guest(), backend(), short_work());
  const Outcome once = run_guest(o);
  const Outcome twice = run_guest(o);
  expect_same(once, twice);
  expect_same_counters(once.counters, twice.counters);
}

TEST_P(Teach, IsTheSameGuestInSlices) {
  for (const uint64_t first : {1, 977, 100'003}) {
    const Driver in_slices = [&](Machine& machine) {
      uint64_t slice = first;
      for (uint64_t run = 0; run < 400'000'000; run += slice) {
        const RunEnd end = machine.run(slice);
        if (end.reason != RunEnd::Reason::kLimit) return end;
        // Through the start of the kernel in small steps; then faster.
        if (run > 2000 * first) slice = 9'973 + first;
      }
      return RunEnd{};
    };
    const Outcome o = run_guest(options_for(guest(), backend(), short_work()), in_slices);
    expect_success(o);
    expect_same(o, native(guest(), 1, short_work()));
  }
}

TEST_P(Teach, BreaksNoInvariant) {
  expect_success(run_audited(options_for(guest(), backend(), tiny_work())));
}

INSTANTIATE_TEST_SUITE_P(All, Teach,
                         testing::Combine(testing::Values("teach32", "teach64"),
                                          testing::ValuesIn(backends())),
                         [](const auto& p) {
                           return absl::StrCat(std::get<0>(p.param), "_",
                                               as_name(std::get<1>(p.param)));
                         });

}  // namespace
}  // namespace gnomon::vmm::guests_test

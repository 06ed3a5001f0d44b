// SPDX-License-Identifier: Apache-2.0
//
// Every backend runs the same guest: same memory, same doings of its kernel, sound to its auditor.
#include <iterator>

#include "absl/strings/str_cat.h"
#include "tests/replay/programs.h"
#include "tests/replay/support.h"
#include "tests/support/scale.h"

namespace gnomon::replay_test {
namespace {

constexpr const char* kGenerated[] = {
    "gen:zipf,bytes=8M,writes=30",
    "gen:stride,bytes=8M,step=4160,writes=50",
    "gen:chase,bytes=2M",
    "gen:gups,bytes=4M",
    "gen:bfs,vertices=4K",
    "gen:churn,bytes=512K,live=4",
    "gen:fork,touches=40,alive=2,bytes=256K,exec=30",
    "gen:switch,bytes=256K,processes=5,slice=200,writes=50",
};

constexpr const char* kGuests[] = {
    "",
    "thp=always",
    "placement=random,pcid=on",
    "placement=fragmented,thp=always",
    "pcid=on,clear_on_exit=off",
    "kernel_entries=off,pcid=on",
};

ReplaySetup audited(std::vector<std::string> traces) {
  ReplaySetup setup = small_setup(std::move(traces));
  setup.audit = true;
  setup.machine.tlb = "tiny";
  setup.machine.tick = 500;
  return setup;
}

/// Those that take large pages of the guest on host pages of 4K.
std::vector<std::string> but_direct() {
  std::vector<std::string> some;
  for (const std::string& b : all_backends()) {
    if (b != "direct") some.push_back(b);
  }
  return some;
}

void expect_references(const SessionResult& result, const TraceBatch& batch) {
  uint64_t want[3] = {};
  for (const TraceRecord& r : batch.records) {
    want[0] += r.kind == RecordKind::kLoad || r.kind == RecordKind::kModify;
    want[1] += r.kind == RecordKind::kStore || r.kind == RecordKind::kModify;
    want[2] += r.kind == RecordKind::kFetch;
  }
  for (size_t op = 0; op < 3; ++op)
    EXPECT_EQ(result.references[op], want[op]) << "operation " << op;
}

class Generated : public testing::TestWithParam<const char*> {};

TEST_P(Generated, IsTheSameGuestUnderEveryBackend) {
  const uint64_t refs = small_scale() ? 3'000 : 12'000;
  const std::string spec = absl::StrCat(GetParam(), ",refs=", refs, ",fetches=on");
  const ReplaySetup setup = audited({spec});
  const SessionResult result = replayed(setup, all_backends());
  expect_one_guest(result);
  expect_references(result, read_trace(spec));
  EXPECT_EQ(result.references[0] + result.references[1] + result.references[2], refs);
}

TEST_P(Generated, IsTheSameGuestOnLargeHostPages) {
  ReplaySetup setup = audited({absl::StrCat(GetParam(), ",refs=3000,thp=on")});
  setup.machine.host_page = PageSize::k2M;
  setup.machine.guest.kernel_large = true;
  setup.machine.guest.thp = HugePages::kMadvise;
  setup.machine.vcpus = 2;
  expect_one_guest(replayed(setup, all_backends()));
}

INSTANTIATE_TEST_SUITE_P(, Generated, testing::ValuesIn(kGenerated), [](const auto& spec) {
  const std::string text = std::string(spec.param).substr(4);
  return text.substr(0, text.find(','));
});

class Program : public testing::TestWithParam<size_t> {
 protected:
  const NamedScript program_ = programs().at(GetParam());
  const TemporaryFile file_{program_.script};
};

TEST_P(Program, IsTheSameGuestUnderEveryBackend) {
  const bool small = small_scale();
  unsigned turn = static_cast<unsigned>(GetParam());
  for (size_t number = 0; number < std::size(kGuests); ++number) {
    // A short run gives each program two of the guests, and all of them to three programs.
    if (small && number / 2 != GetParam() % (std::size(kGuests) / 2)) continue;
    const char* guest = kGuests[number];
    ReplaySetup setup = audited({file_.path()});
    setup.machine.guest = parse_guest_options(guest, setup.machine.guest).value();
    setup.machine.vcpus = 1u << (turn++ % 3);
    SCOPED_TRACE(absl::StrCat("guest ", guest, " on ", setup.machine.vcpus));
    const bool large = setup.machine.guest.thp != HugePages::kNever;
    const SessionResult result = replayed(setup, large ? but_direct() : all_backends());
    expect_one_guest(result);
    expect_references(result, program_.script.batch());
    if (HasFailure()) return;
  }
}

TEST_P(Program, IsTheSameGuestOnLargeHostPages) {
  constexpr const char* kOnLargePages[] = {"", "thp=always", "thp=always,pcid=on"};
  for (size_t number = 0; number < std::size(kOnLargePages); ++number) {
    if (small_scale() && number != GetParam() % std::size(kOnLargePages))
      continue;
    const char* guest = kOnLargePages[number];
    SCOPED_TRACE(guest);
    ReplaySetup setup = audited({file_.path()});
    setup.machine.guest = parse_guest_options(guest, setup.machine.guest).value();
    setup.machine.guest.kernel_large = true;
    setup.machine.host_page = PageSize::k2M;
    setup.machine.vcpus = 3;
    expect_one_guest(replayed(setup, all_backends()));
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(, Program, testing::Range<size_t>(0, programs().size()),
                         [](const auto& i) { return programs()[i.param].name; });

TEST(Programs, SeveralAtOnceAreTheSameGuest) {
  const std::vector<NamedScript> all = programs();
  const TemporaryFile a(all[0].script), b(all[1].script), c(all[3].script);
  ReplaySetup setup = audited({a.path(), b.path(), c.path(), "gen:zipf,bytes=1M,refs=2000"});
  setup.copies = 2;
  setup.slice = 37;
  setup.machine.vcpus = 2;
  const SessionResult result = replayed(setup, all_backends());
  expect_one_guest(result);
  uint64_t sum = 4000;
  for (const size_t i : {0, 1, 3}) sum += 2 * all[i].script.references();
  EXPECT_EQ(result.references[0] + result.references[1] + result.references[2], sum);
  EXPECT_EQ(result.traces.size(), 4u);
}

// Counting, caches and timelines must not change the guest.
TEST(Programs, WatchingChangesNothing) {
  const TemporaryFile file(programs()[3].script);
  for (const std::string& backend : all_backends()) {
    SCOPED_TRACE(backend);
    ReplaySetup setup = small_setup({file.path()});
    setup.machine.vcpus = 2;
    const ReplayResult plain = replayed(setup, {backend}).machines[0];
    Timeline timeline;
    setup.machine.timeline = &timeline;
    setup.machine.timeline_prices = &setup.cost;
    const ReplayResult timed = replayed(setup, {backend}).machines[0];
    expect_same_counters(plain.counters, timed.counters);
    setup.machine.timeline = nullptr;
    setup.machine.caches = "zen4";
    const ReplayResult cached = replayed(setup, {backend}).machines[0];
    expect_same_counters(plain.counters, cached.counters);
    expect_same_guest_stats(plain.guest, cached.guest);
  }
}

}  // namespace
}  // namespace gnomon::replay_test

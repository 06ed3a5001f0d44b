// SPDX-License-Identifier: Apache-2.0
//
// The same trace gives the same numbers, in whatever form and pieces it comes.
#include "absl/strings/str_cat.h"
#include "tests/replay/programs.h"
#include "tests/replay/support.h"
#include "tests/scenario/random.h"

namespace gnomon::replay_test {
namespace {

void expect_equal(const SessionResult& a, const SessionResult& b) {
  EXPECT_EQ(a.references, b.references);
  ASSERT_EQ(a.machines.size(), b.machines.size());
  for (size_t i = 0; i < a.machines.size(); ++i) {
    SCOPED_TRACE(a.machines[i].spec);
    expect_same_counters(a.machines[i].counters, b.machines[i].counters);
    expect_same_guest_stats(a.machines[i].guest, b.machines[i].guest);
    EXPECT_EQ(a.machines[i].caches.data, b.machines[i].caches.data);
    EXPECT_EQ(a.machines[i].caches.guest, b.machines[i].caches.guest);
    EXPECT_EQ(a.machines[i].series.interval(), b.machines[i].series.interval());
    EXPECT_EQ(a.machines[i].series.points(), b.machines[i].series.points());
    EXPECT_EQ(a.machines[i].cost.total, b.machines[i].cost.total);
    EXPECT_EQ(a.machines[i].memory_digests, b.machines[i].memory_digests);
  }
}

TEST(Determinism, TheSameSetupGivesTheSameNumbers) {
  const TemporaryFile file(programs()[3].script);
  ReplaySetup setup = small_setup({file.path(), "gen:fork,refs=1000,bytes=64K"});
  setup.machine.vcpus = 2;
  setup.machine.caches = "zen4";
  setup.machine.guest.placement = FramePlacement::kRandom;
  setup.slice = 100;
  setup.audit = true;
  expect_equal(replayed(setup, all_backends()), replayed(setup, all_backends()));
}

TEST(Determinism, OneBackendAtATimeGivesTheSameNumbers) {
  const TemporaryFile file(programs()[0].script);
  const ReplaySetup setup = small_setup({file.path()});
  const SessionResult all = replayed(setup, all_backends());
  for (size_t i = 0; i < all.machines.size(); ++i) {
    const ReplayResult one = replayed(setup, {all_backends()[i]}).machines[0];
    expect_same_counters(one.counters, all.machines[i].counters);
  }
}

TEST(Determinism, EveryFormatThatHoldsTheTraceGivesTheSameNumbers) {
  for (const NamedScript& p : programs()) {
    SCOPED_TRACE(p.name);
    const TemporaryFile gtrace(p.script), csv(written_as("csv", p.script.batch()));
    expect_equal(replayed(small_setup({gtrace.path()}), {"native", "shadow"}),
                 replayed(small_setup({csv.path()}), {"native", "shadow"}));
  }
}

TEST(Determinism, LackeyTextGivesTheSameNumbers) {
  TraceBatch plain;
  for (const TraceRecord& r :
       read_trace("gen:zipf,bytes=4M,writes=30,refs=20000,fetches=on").records) {
    if (r.kind != RecordKind::kEvent) plain.records.push_back(r);
  }
  const TemporaryFile gtrace(gtrace_of(plain)), lackey(written_as("lackey", plain)),
      csv(written_as("csv", plain));
  const SessionResult want = replayed(small_setup({gtrace.path()}), {"native", "nested"});
  EXPECT_EQ(want.references[0] + want.references[1] + want.references[2], 20000u);
  expect_equal(want, replayed(small_setup({lackey.path()}), {"native", "nested"}));
  expect_equal(want, replayed(small_setup({csv.path()}), {"native", "nested"}));
}

TEST(Determinism, TheMachineDoesNotSeeHowATraceIsCut) {
  const TraceBatch batch = programs()[0].script.batch();
  MachineOptions options;
  options.guest.memory_bytes = 64 << 20;
  options.vcpus = 2;
  options.tick = 100;
  for (const char* backend : {"native", "shadow", "npt"}) {
    options.backend = backend;
    Counters whole;
    for (const uint64_t most : {0, 1, 7, 1000}) {
      auto machine = ReplayMachine::create(options);
      ASSERT_TRUE(machine.ok()) << machine.status();
      (*machine)->measure(true);
      scenario::Random random(most);
      absl::Span<const TraceRecord> rest(batch.records);
      while (!rest.empty()) {
        const size_t now =
            most == 0 ? rest.size() : std::min<size_t>(rest.size(), 1 + random.below(most));
        const absl::Status s = (*machine)->run(0, rest.first(now), batch.events);
        ASSERT_TRUE(s.ok()) << s;
        rest.remove_prefix(now);
      }
      if (most == 0) {
        whole = (*machine)->counters();
      } else {
        expect_same_counters(whole, (*machine)->counters());
      }
    }
  }
}

TEST(Determinism, WindowsAddUp) {
  const std::string spec = "gen:zipf,bytes=4M,refs=12000,writes=20";
  const Counters whole = replayed_native(small_setup({spec})).counters;
  Counters sum;
  for (const auto& [warmup, limit] :
       {std::pair<uint64_t, uint64_t>{0, 4567}, {4567, 1}, {4568, 7000}, {11568, 0}}) {
    ReplaySetup part = small_setup({spec});
    part.warmup = warmup;
    part.limit = limit;
    sum += replayed_native(part).counters;
  }
  expect_same_counters(whole, sum, {Counter::kTableBytes, Counter::kTableBytesPeak});
}

// What a stream does alone is the same, so what is left are the switches between them.
TEST(Slices, SwitchAsOftenAsArithmeticSays) {
  for (const uint64_t refs : {1000, 999, 1001, 50}) {
    for (const uint64_t slice : {1, 7, 100, 5000}) {
      SCOPED_TRACE(absl::StrCat(refs, " in slices of ", slice));
      Script script;
      for (uint64_t i = 0; i < refs; ++i) script.load(0x10000000 + i % 40 * kPage);
      const TemporaryFile file(script);
      ReplaySetup setup = small_setup({file.path()});
      setup.copies = 3;
      setup.slice = slice;
      const ReplayResult r = replayed_native(setup);
      const uint64_t turns = 3 * ((refs + slice - 1) / slice);
      EXPECT_EQ(r.guest[GuestStat::kContextSwitches], turns - 1);
      EXPECT_EQ(r.counters[Counter::kCr3Loads], turns);
      EXPECT_EQ(r.guest[GuestStat::kProcesses], 3u);
    }
  }
}

TEST(Slices, OneStreamIsNeverSwitched) {
  ReplaySetup setup = small_setup({"gen:uniform,bytes=1M,refs=3000"});
  setup.slice = 1;
  EXPECT_EQ(replayed_native(setup).guest[GuestStat::kContextSwitches], 0u);
}

TEST(Slices, ShortStreamsEndAndTheOthersGoOn) {
  Script shorter, longer;
  for (int i = 0; i < 10; ++i) shorter.load(0x10000000);
  for (int i = 0; i < 40; ++i) longer.load(0x10000000);
  const TemporaryFile a(shorter), b(longer);
  ReplaySetup setup = small_setup({a.path(), b.path()});
  setup.slice = 10;
  const ReplayResult r = replayed_native(setup);
  // a, b, and then b alone.
  EXPECT_EQ(r.guest[GuestStat::kContextSwitches], 1u);
  EXPECT_EQ(r.counters[Counter::kCr3Loads], 2u);
}

}  // namespace
}  // namespace gnomon::replay_test

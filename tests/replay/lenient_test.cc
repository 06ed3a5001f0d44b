// SPDX-License-Identifier: Apache-2.0
//
// What the guest does not take is left out and counted when lenient, the same whatever the backend.
#include "absl/strings/str_cat.h"
#include "tests/replay/support.h"

namespace gnomon::replay_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr uint64_t kAt = 0x10000000;
constexpr uint64_t kKernel = 0xffff'8880'0000'0000;
constexpr uint64_t kTop = uint64_t{1} << 47;

/// Good records with one of each kind that cannot be among them.
Script mixed_script() {
  Script s;
  s.map(kAt, 16 * kPage, kRw).stores(kAt, 8 * kPage);
  s.map(kAt, 0, kRw).load(kAt).map(kAt, uint64_t{1} << 60, kRw).load(kAt);
  s.map(kKernel, kPage, kRw).store(kKernel).fork(0).load(kAt);
  s.modify(kTop).fetch(kTop + kPage).load(kTop - 4, 8).load(~uint64_t{0}, 1);
  s.fork(1).fork(1).unmap(kAt, 0).run(1).loads(kAt, 8 * kPage);
  s.plain(EventKind::kFork, 0, 0, uint64_t{1} << 32).store(uint64_t{1} << 62).exit();
  s.run(0).load(kAt);
  return s;
}
constexpr uint64_t kRejectedEvents = 7;  // three maps, three forks, an unmap
constexpr std::array<uint64_t, 3> kRejectedReferences = {3, 3, 1};

ReplaySetup lenient(std::vector<std::string> traces) {
  ReplaySetup setup = small_setup(std::move(traces));
  setup.mode = ReadMode::kLenient;
  return setup;
}

TEST(Lenient, CountsWhatTheGuestRejectsAndRunsTheRest) {
  const Script script = mixed_script();
  const TemporaryFile file(script);
  ReplaySetup setup = lenient({file.path()});
  setup.audit = true;
  for (const unsigned vcpus : {1u, 2u}) {
    setup.machine.vcpus = vcpus;
    const SessionResult r = replayed(setup, all_backends());
    expect_one_guest(r);
    ASSERT_EQ(r.traces.size(), 1u);
    // A modify is one record and two references.
    EXPECT_EQ(r.traces[0].rejected, kRejectedEvents + 6);
    EXPECT_EQ(r.traces[0].first_rejected, "record 10 (before reference 9): map: the length is 0");
    EXPECT_EQ(r.traces[0].stats.left_out, 0u);
    std::array<uint64_t, 3> want = script.by_op();
    for (size_t i = 0; i < want.size(); ++i) want[i] -= kRejectedReferences[i];
    EXPECT_EQ(r.references, want);
  }
}

/// What is rejected costs nothing: the same as a trace without it.
TEST(Lenient, WhatIsRejectedLeavesNoTrace) {
  Script with, without;
  for (Script* s : {&with, &without}) s->map(kAt, 64 * kPage, kRw).stores(kAt, 64 * kPage);
  for (int i = 0; i < 100; ++i) {
    with.store(kKernel + i * kPage).modify(kTop).map(kAt, 0, kRw);
    for (Script* s : {&with, &without}) s->load(kAt + i % 64 * kPage);
  }
  const TemporaryFile a(with), b(without);
  ReplaySetup dirty = lenient({a.path()}), clean = lenient({b.path()});
  dirty.machine.tick = clean.machine.tick = 7;
  const SessionResult x = replayed(dirty, all_backends());
  const SessionResult y = replayed(clean, all_backends());
  EXPECT_EQ(x.traces[0].rejected, 300u);
  EXPECT_EQ(y.traces[0].rejected, 0u);
  EXPECT_EQ(x.references, y.references);
  for (size_t i = 0; i < x.machines.size(); ++i) {
    SCOPED_TRACE(x.machines[i].spec);
    expect_same_counters(x.machines[i].counters, y.machines[i].counters);
    expect_same_guest_stats(x.machines[i].guest, y.machines[i].guest);
  }
}

/// The first page of a record that reaches out of a program's half is there, and even in the TLB; nothing happens to
/// it.
TEST(Lenient, ARecordIsRejectedWhole) {
  constexpr uint64_t kLast = kTop - kPage;
  Script with, without;
  for (Script* s : {&with, &without}) s->stores(kLast, kPage).fetch(kLast).store(kLast).load(kLast);
  for (int i = 0; i < 3; ++i) {
    with.store(kTop - 4, 8).load(kTop - 4, 8).modify(kTop - 4, 8).fetch(kTop - 4, 8);
    for (Script* s : {&with, &without}) s->store(kTop - 8, 8).fetch(kTop - 1, 1);
  }
  const TemporaryFile a(with), b(without);
  for (const absl::string_view caches : {"none", "tiny"}) {
    ReplaySetup dirty = lenient({a.path()}), clean = lenient({b.path()});
    dirty.machine.caches = clean.machine.caches = std::string(caches);
    const SessionResult x = replayed(dirty, all_backends());
    const SessionResult y = replayed(clean, all_backends());
    EXPECT_EQ(x.traces[0].rejected, 12u);
    EXPECT_EQ(x.references, y.references);
    for (size_t i = 0; i < x.machines.size(); ++i) {
      SCOPED_TRACE(x.machines[i].spec);
      expect_same_counters(x.machines[i].counters, y.machines[i].counters);
      expect_same_guest_stats(x.machines[i].guest, y.machines[i].guest);
    }
  }
}

TEST(Lenient, AWindowIsOfWhatIsRun) {
  Script s;
  for (int i = 0; i < 50; ++i) s.store(kKernel).load(kAt + i * kPage);
  const TemporaryFile file(s);
  ReplaySetup setup = lenient({file.path()});
  setup.warmup = 5;
  setup.limit = 20;
  const SessionResult r = replayed(setup, {"native", "shadow"});
  EXPECT_EQ(r.warmed_up, 5u);
  EXPECT_EQ(r.references, (std::array<uint64_t, 3>{20, 0, 0}));
}

TEST(Lenient, EveryCopyRejectsTheSame) {
  const TemporaryFile file(mixed_script());
  ReplaySetup setup = lenient({file.path()});
  setup.copies = 3;
  setup.slice = 2;
  const SessionResult r = replayed(setup, {"native", "nested"});
  ASSERT_EQ(r.traces.size(), 1u);
  EXPECT_EQ(r.traces[0].rejected, 3 * (kRejectedEvents + 6));
}

TEST(Lenient, AGuestOutOfMemoryStillEndsTheRun) {
  Script s;
  s.store(kKernel).stores(kAt, 1024 * kPage);
  const TemporaryFile file(s);
  ReplaySetup setup = lenient({file.path()});
  setup.machine.guest.kernel_entries = false;
  setup.machine.guest.memory_bytes = 2 << 20;
  const auto r = replay(setup, std::vector<std::string>{"native"});
  EXPECT_EQ(r.status().code(), absl::StatusCode::kResourceExhausted) << r.status();
}

TEST(Lenient, ATraceOfNothingButRejectedRecordsIsAnError) {
  Script s;
  s.store(kKernel).load(kTop);
  const TemporaryFile file(s);
  const auto r = replay(lenient({file.path()}), std::vector<std::string>{"native"});
  EXPECT_THAT(
      std::string(r.status().message()),
      AllOf(StartsWith(file.path()), HasSubstr("2 rejected by the guest, the first: record 1")));
}

TEST(Lenient, ReplaysThatDifferAreAnInternalError) {
  SessionResult a;
  a.traces.resize(1);
  a.machines.resize(1);
  SessionResult b = a;
  EXPECT_TRUE(check_rejected(a, b).ok());
  b.traces[0].rejected = 1;
  EXPECT_EQ(check_rejected(a, b).code(), absl::StatusCode::kInternal);
  b.traces[0].info.guest = a.traces[0].info.guest = true;
  EXPECT_TRUE(check_rejected(a, b).ok());
}

struct Place {
  absl::string_view rows;
  absl::string_view message;
};
constexpr Place kPlaces[] = {
    {"L,0x1000,8\nmap,0x1000000,,,,3,0\n",
     "record 2 (before reference 2, line 3): map: the length is 0"},
    {"L,0x1000,8\n\nL,0x1000,8\nL,0x800000000000,8\n",
     "record 3 (reference 3, line 5): user read of 8 bytes at 0x800000000000: not a user address"},
    {"M,0x1000,8\nswitch,,,0,3\nS,0xffff888000000000,8\n", "record 3 (reference 3, line 4): "},
    {"L,0x1000,8,1\nfork,,,1,,,,1\n",
     "record 3 (before reference 2, line 3): fork: process 1 exists"},
    {"mark,,,,,,,,,,\"two\nlines\"\nL,0x1000,8\nfork,,,,,,,0\n",
     "record 3 (before reference 2, line 5): fork: process 0 exists already"},
};

TEST(Strict, SaysWhichRecordItWas) {
  for (const Place& place : kPlaces) {
    const TemporaryFile file(absl::StrCat(
        "op,address,size,process,thread,flags,length,value,extra,file,text\n", place.rows));
    for (const char* backend : {"native", "shadow"}) {
      const auto r = replay(small_setup({file.path()}), std::vector<std::string>{backend});
      EXPECT_EQ(r.status().code(), absl::StatusCode::kInvalidArgument) << r.status();
      EXPECT_THAT(std::string(r.status().message()),
                  StartsWith(absl::StrCat(file.path(), ": ", place.message)));
      EXPECT_EQ(r.status().message().find(backend), absl::string_view::npos) << r.status();
    }
  }
}

/// Far into the trace, behind many batches.
TEST(Strict, CountsRecordsOverAllBatches) {
  std::string text = "==1== Lackey, an example Valgrind tool\n";
  for (int i = 0; i < 50'000; ++i) {
    if (i % 1000 == 0) absl::StrAppend(&text, "==1== a note\n");
    absl::StrAppend(&text, i % 3 == 0 ? " M 1000,8\n" : " L 1000,8\n");
  }
  const TemporaryFile file(absl::StrCat(text, " L 800000001000,4\n"));
  const auto r = replay(small_setup({file.path()}), std::vector<std::string>{"native"});
  EXPECT_THAT(std::string(r.status().message()),
              HasSubstr(": record 50001 (reference 66668, line 50052): user read of 4 bytes"));
}

}  // namespace
}  // namespace gnomon::replay_test

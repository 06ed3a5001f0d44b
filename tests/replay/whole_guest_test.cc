// SPDX-License-Identifier: Apache-2.0
//
// A replay written down as a trace of a whole guest, and replayed without a model of a kernel: to
// the backend it is the same machine.
#include "absl/strings/str_cat.h"
#include "tests/replay/programs.h"
#include "tests/replay/support.h"

namespace gnomon::replay_test {
namespace {

TraceInfo whole_guest() {
  TraceInfo info;
  info.guest = true;
  return info;
}

struct Recorded {
  ReplayResult original;
  std::string bytes;
};

Recorded record(ReplaySetup setup, const std::string& backend) {
  auto sink = std::make_unique<StringSink>();
  const StringSink& bytes = *sink;
  auto writer = create_gtrace_writer(std::move(sink), whole_guest()).value();
  setup.machine.guest_trace = writer.get();
  Recorded r{replayed(setup, {backend}).machines[0], {}};
  EXPECT_TRUE(writer->finish().ok());
  EXPECT_EQ(writer->left_out(), 0u);
  r.bytes = bytes.bytes();
  return r;
}

/// All of a script in a region of interest: the guest's boot comes before it.
Script marked(const Script& script) {
  Script all;
  all.mark(1);
  for (const TraceRecord& r : script.batch().records) {
    if (r.kind == RecordKind::kEvent) {
      all.event(script.batch().events[r.address.value()]);
    } else if (r.kind == RecordKind::kFetch) {
      all.fetch(r.address.value(), r.size);
    } else if (r.kind == RecordKind::kLoad) {
      all.load(r.address.value(), r.size);
    } else if (r.kind == RecordKind::kStore) {
      all.store(r.address.value(), r.size);
    } else {
      all.modify(r.address.value(), r.size);
    }
  }
  return all;
}

struct Case {
  const char* backend;
  unsigned vcpus;
  PageSize host_page;
  const char* guest;
};

TEST(WholeGuest, CountsWhatTheOriginalCounted) {
  std::vector<Case> cases;
  for (const char* b :
       {"native", "shadow:prefetch=0", "shadow", "shadow:unsync=off", "shadow:unsync=off,flood=0",
        "shadow:unsync=off,prefetch=64,update=off", "shadow:directory=full-trap,flags=lazy",
        "shadow:budget=256K,roots=0", "vtlb", "direct", "nested", "nested:ad=off", "npt", "agile",
        "agile:period=1000"}) {
    cases.push_back({b, 1, PageSize::k4K, ""});
    cases.push_back({b, 3, PageSize::k4K, "pcid=on"});
  }
  cases.push_back({"nested", 2, PageSize::k2M, "thp=always"});
  cases.push_back({"shadow:prefetch=0", 2, PageSize::k2M, "thp=always,pcid=on"});
  cases.push_back({"native", 2, PageSize::k4K, "clear_on_exit=off"});
  const std::vector<NamedScript> all = programs();
  for (const size_t number : {0, 3}) {
    const NamedScript& p = all[number];
    const TemporaryFile file(marked(p.script));
    for (const Case& c : cases) {
      SCOPED_TRACE(absl::StrCat(p.name, " under ", c.backend, " on ", c.vcpus, " with ", c.guest));
      ReplaySetup setup = small_setup({file.path()});
      setup.machine.vcpus = c.vcpus;
      setup.machine.host_page = c.host_page;
      setup.machine.guest = parse_guest_options(c.guest, setup.machine.guest).value();
      setup.machine.tick = 300;
      setup.roi = true;
      const Recorded recorded = record(setup, c.backend);
      const TemporaryFile guest(recorded.bytes);
      ReplaySetup again = small_setup({guest.path()});
      again.machine.vcpus = c.vcpus;
      again.machine.host_page = c.host_page;
      again.roi = true;
      const SessionResult r = replayed(again, {c.backend});
      EXPECT_TRUE(r.traces.at(0).info.guest);
      expect_same_counters(recorded.original.counters, r.machines[0].counters, {});
      EXPECT_EQ(r.references[0] + r.references[1] + r.references[2],
                r.machines[0].counters[Counter::kAccesses]);
      again.audit = true;
      EXPECT_THAT(replayed(again, {c.backend}).machines[0].problems, testing::IsEmpty());
      if (HasFailure()) return;
    }
  }
}

TEST(WholeGuest, IsTheSameTraceWhateverWroteIt) {
  const TemporaryFile file(programs()[0].script);
  const std::string native = record(small_setup({file.path()}), "native").bytes;
  for (const std::string& b : all_backends())
    EXPECT_EQ(record(small_setup({file.path()}), b).bytes, native) << b;
}

TEST(WholeGuest, IsTheSameGuestUnderOtherBackends) {
  const TemporaryFile file(programs()[1].script);
  const TemporaryFile guest(record(small_setup({file.path()}), "native").bytes);
  ReplaySetup setup = small_setup({guest.path()});
  setup.audit = true;
  expect_one_guest(replayed(setup, all_backends()));
}

// What a trace of a whole guest may say to break the replay.
struct Hostile {
  const char* name;
  std::vector<TraceEvent> events;
  const char* message;
};

TraceEvent with(EventKind kind, uint64_t address, uint64_t value, uint32_t flags = 0,
                uint64_t extra = 0) {
  return {
      .kind = kind, .flags = flags, .address = address, .value = value, .extra = extra, .text = {}};
}
TraceEvent memory(uint64_t bytes) {
  return {.kind = EventKind::kGuest, .length = bytes, .text = {}};
}
const TraceEvent kPaging = with(EventKind::kControls, 0x900, 0x80010001, 0, 0xa0);

TEST(WholeGuest, HostileTracesEndInOneMessage) {
  const Hostile kAll[] = {
      {"no memory there",
       {memory(1 << 20), with(EventKind::kTableWrite, 1 << 20, 1, 8)},
       "table_write: no memory there"},
      {"far away",
       {memory(1 << 20), with(EventKind::kTableWrite, ~uint64_t{0} - 7, 1, 8)},
       "table_write: no memory there"},
      {"read of nothing",
       {memory(1 << 20), with(EventKind::kTableRead, uint64_t{1} << 60, 0, 8)},
       "table_read: no memory there"},
      {"size 9",
       {memory(1 << 20), with(EventKind::kTableWrite, 0, 1, 9)},
       "not 1 to 8 bytes within one page"},
      {"size 0",
       {memory(1 << 20), with(EventKind::kTableWrite, 0, 1, 0)},
       "not 1 to 8 bytes within one page"},
      {"size 2^32-1",
       {memory(1 << 20), with(EventKind::kTableRead, 8, 1, ~0u)},
       "not 1 to 8 bytes within one page"},
      {"crosses",
       {memory(1 << 20), with(EventKind::kTableWrite, 4090, 1, 8)},
       "not 1 to 8 bytes within one page"},
      {"bad CR3",
       {memory(1 << 20), kPaging, with(EventKind::kCr3, 0, ~uint64_t{0} >> 1)},
       "#GP: not a value for CR3"},
      {"PG without PE",
       {memory(1 << 20), with(EventKind::kControls, 0, 0x80000000)},
       "#GP: not values for CR0"},
      {"INVPCID 9",
       {memory(1 << 20), with(EventKind::kInvpcid, 0, 0, 9)},
       "#GP: no such type or PCID"},
      {"PCID 2^40",
       {memory(1 << 20), with(EventKind::kInvpcid, 0, uint64_t{1} << 40, 1)},
       "#GP: no such type or PCID"},
      {"clears nothing",
       {memory(1 << 20), with(EventKind::kClearPage, 1 << 20, 0)},
       "clear_page: not a page of the guest's memory"},
      {"clears far away",
       {memory(1 << 20), with(EventKind::kClearPage, ~uint64_t{0xfff}, 0)},
       "clear_page: not a page of the guest's memory"},
      {"clears no whole page",
       {memory(1 << 20), with(EventKind::kClearPage, 0x1008, 0)},
       "clear_page: not a page of the guest's memory"},
      {"copies from nowhere",
       {memory(1 << 20), with(EventKind::kCopyPage, 0x1000, 1 << 20)},
       "copy_page: not a page of the guest's memory"},
      {"copies to nowhere",
       {memory(1 << 20), with(EventKind::kCopyPage, 1 << 20, 0x1000)},
       "copy_page: not a page of the guest's memory"},
      {"AC of 2",
       {memory(1 << 20), with(EventKind::kRights, 0, 0, 2)},
       "rights: not values for EFLAGS.AC and PKRU"},
      {"PKRU of 2^32",
       {memory(1 << 20), with(EventKind::kRights, 0, uint64_t{1} << 32)},
       "rights: not values for EFLAGS.AC and PKRU"},
      {"a map",
       {memory(1 << 20), with(EventKind::kMap, 0x1000, 0)},
       "not an event of a whole guest"},
      {"a TLB operation",
       {memory(1 << 20), with(EventKind::kTlbOp, 0, 0)},
       "not an event of a whole guest"},
      {"2^60 bytes", {memory(uint64_t{1} << 60)}, "it may have 4K to 64G"},
      {"no bytes", {memory(0)}, "it may have 4K to 64G"},
      {"one byte", {memory(1)}, "it may have 4K to 64G"},
      {"no memory said",
       {with(EventKind::kInvlpg, 0, 0)},
       "does not say first how much memory it has"},
      {"tables nowhere",
       {memory(1 << 20), kPaging, with(EventKind::kCr3, 0, uint64_t{1} << 36)},
       "not backed"},
  };
  for (const Hostile& h : kAll) {
    Script s;
    for (const TraceEvent& e : h.events) s.event(e);
    s.load(0x1000).store(0x2000);
    const TemporaryFile file(gtrace_of(s.batch(), whole_guest()));
    for (const std::string& backend : all_backends()) {
      SCOPED_TRACE(absl::StrCat(h.name, " under ", backend));
      const auto r = replay(small_setup({file.path()}), std::vector<std::string>{backend});
      EXPECT_EQ(r.status().code(), absl::StatusCode::kInvalidArgument) << r.status();
      EXPECT_THAT(std::string(r.status().message()), testing::HasSubstr(h.message));
      EXPECT_THAT(std::string(r.status().message()), testing::HasSubstr(file.path()));
    }
  }
}

// A guest stores to a table through a mapping of it, in the trace's sizes.
struct TableStore {
  bool wide;        // 64-bit entries, or 32-bit ones
  uint64_t offset;  // in the table
  uint16_t size;
  uint64_t exits;
  bool floods;
};

constexpr uint64_t kTableMapped = 0x10000;  // and a page of data after it
constexpr uint64_t kMappedPage = 0x20000;

Script guest_that_maps_its_table(bool wide) {
  constexpr uint64_t kUsed = 0x67;  // present, writable, user, accessed, dirty
  constexpr uint64_t kLeaf = 0x5000;
  Script s;
  s.event(memory(1 << 20));
  const uint32_t bytes = wide ? 8 : 4;
  if (wide) {
    for (const uint64_t table : {0x2000, 0x3000, 0x4000})
      s.event(with(EventKind::kTableWrite, table, (table + 0x1000) | kUsed, bytes));
  } else {
    s.event(with(EventKind::kTableWrite, 0x2000, kLeaf | kUsed, bytes));
  }
  const auto leaf = [&](uint64_t va, uint64_t page) {
    s.event(with(EventKind::kTableWrite, kLeaf + (va >> 12) * bytes, page | kUsed, bytes));
  };
  leaf(kTableMapped, kLeaf);
  leaf(kTableMapped + 0x1000, 0x6000);
  leaf(kMappedPage, 0x7000);
  s.event(with(EventKind::kCr3, 0, 0x2000));
  s.event(wide ? kPaging : with(EventKind::kControls, 0, 0x80010001));
  return s.load(kMappedPage).load(kTableMapped + 0x1000);
}

Counters counters_of(const Script& script, const std::string& backend) {
  const TemporaryFile file(gtrace_of(script.batch(), whole_guest()));
  return replayed(small_setup({file.path()}), {backend}).machines[0].counters;
}

TEST(WholeGuest, TrappedStoresHaveTheSizeOfTheirRecords) {
  for (const TableStore& c : {
           TableStore{true, 0, 8, 1, false},   {true, 8, 4, 1, false},     {true, 12, 4, 1, false},
           {true, 16, 1, 1, false},            {true, 17, 1, 1, true},     {true, 16, 2, 1, true},
           {true, 20, 8, 1, true},             {true, 16, 16, 1, true},    {true, 13, 64, 1, true},
           {true, 4095, 1, 1, true},           {true, 4088, 8, 1, false},
           {true, 4092, 8, 1, false},          // four bytes of it in the table
           {true, 4080, 4096, 1, true},        {false, 0, 4, 1, false},    {false, 4, 4, 1, false},
           {false, 8, 8, 1, true},             {false, 6, 4, 1, true},     {false, 4, 1, 1, false},
           {false, 5, 1, 1, true},             {false, 4094, 8, 1, true},  {false, 4092, 4, 1, false},
           {false, 4092, 8, 1, false},         {false, 0, 4096, 1, true},
       }) {
    SCOPED_TRACE(absl::StrCat(c.wide ? 64 : 32, " bits, ", c.size, " bytes at ", c.offset));
    for (const bool modify : {false, true}) {
      Script s = guest_that_maps_its_table(c.wide);
      const uint64_t at = kTableMapped + c.offset;
      modify ? s.modify(at, c.size) : s.store(at, c.size);
      const Counters n = counters_of(s, "shadow:unsync=off,flood=255");
      EXPECT_EQ(n[Counter::kExitTableWrite], c.exits);
      EXPECT_EQ(n[Counter::kFlooded], c.floods ? 1u : 0u);
    }
  }
}

TEST(WholeGuest, EntriesOfFourBytesAreStoredOneByOne) {
  Script s = guest_that_maps_its_table(/*wide=*/false);
  for (unsigned i = 0; i < 8; ++i) s.store(kTableMapped + 4 * i, 4);
  const Counters n = counters_of(s, "shadow:unsync=off,flood=255");
  EXPECT_EQ(n[Counter::kExitTableWrite], 8u);
  EXPECT_EQ(n[Counter::kFlooded], 0u);
}

TEST(WholeGuest, MemoryThatIsNeverUsedCostsNothing) {
  Script s;
  s.event(memory(uint64_t{1} << 36))
      .event(with(EventKind::kTableWrite, 1 << 20, 7, 8))
      .load(0x1000);
  const TemporaryFile file(gtrace_of(s.batch(), whole_guest()));
  ReplaySetup setup = small_setup({file.path()});
  setup.audit = true;
  const SessionResult r = replayed(setup, {"native", "nested"});
  for (const ReplayResult& m : r.machines) EXPECT_LE(m.memory_digests.size(), 300u);
  EXPECT_EQ(compare_memory(r.machines[0], r.machines[1]), "");
}

TEST(WholeGuest, IsReplayedAlone) {
  Script s;
  s.event(memory(1 << 20)).load(0x1000);
  const TemporaryFile file(gtrace_of(s.batch(), whole_guest()));
  const std::string want =
      file.path() + ": a trace of a whole guest is replayed alone, without others or copies";
  ReplaySetup setup = small_setup({file.path()});
  EXPECT_EQ(replayed(setup, {"native"}).references[0], 1u);
  setup.copies = 2;
  EXPECT_EQ(replay(setup, std::vector<std::string>{"native"}).status(),
            absl::InvalidArgumentError(want));
  setup.copies = 1;
  setup.traces.insert(setup.traces.begin(), "gen:uniform,refs=10");
  EXPECT_EQ(replay(setup, std::vector<std::string>{"native"}).status(),
            absl::InvalidArgumentError(want));
}

}  // namespace
}  // namespace gnomon::replay_test

// SPDX-License-Identifier: Apache-2.0
#include "tests/replay/support.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gnomon/traces/formats.h"

namespace gnomon::replay_test {

Script& Script::event(TraceEvent e) {
  batch_.records.push_back({Gva(batch_.events.size()), 0, RecordKind::kEvent, false});
  batch_.events.push_back(std::move(e));
  return *this;
}

Script& Script::plain(EventKind kind, uint64_t va, uint64_t bytes, uint64_t value) {
  return event({.kind = kind, .address = va, .length = bytes, .value = value, .text = {}});
}

Script& Script::loads(uint64_t va, uint64_t bytes, uint64_t step) {
  for (uint64_t at = 0; at < bytes; at += step) load(va + at);
  return *this;
}

Script& Script::stores(uint64_t va, uint64_t bytes, uint64_t step) {
  for (uint64_t at = 0; at < bytes; at += step) store(va + at);
  return *this;
}

Script& Script::run(uint32_t process, uint32_t thread) {
  return event({.kind = EventKind::kSwitch, .process = process, .thread = thread, .text = {}});
}

Script& Script::map(uint64_t va, uint64_t bytes, MapFlags flags, uint64_t file, uint64_t offset) {
  return event({.kind = EventKind::kMap,
                .flags = flags,
                .address = va,
                .length = bytes,
                .value = offset,
                .file = file,
                .text = {}});
}

Script& Script::protect(uint64_t va, uint64_t bytes, MapFlags flags) {
  return event(
      {.kind = EventKind::kProtect, .flags = flags, .address = va, .length = bytes, .text = {}});
}

Script& Script::remap(uint64_t va, uint64_t bytes, uint64_t to, uint64_t to_bytes) {
  return event({.kind = EventKind::kRemap,
                .address = va,
                .length = bytes,
                .value = to,
                .extra = to_bytes,
                .text = {}});
}

Script& Script::advise(uint64_t va, uint64_t bytes, uint64_t what) {
  return plain(EventKind::kAdvise, va, bytes, what);
}

Script& Script::exit() { return event({.kind = EventKind::kExit, .flags = 1, .text = {}}); }

Script& Script::mark(uint32_t flags) {
  return event({.kind = EventKind::kMark, .flags = flags, .text = "region"});
}

std::array<uint64_t, 3> Script::by_op() const {
  std::array<uint64_t, 3> sum{};
  const auto count = [&](AccessOp op) { ++sum[static_cast<size_t>(op)]; };
  for (const TraceRecord& r : batch_.records) {
    if (r.kind == RecordKind::kFetch) count(AccessOp::kFetch);
    if (r.kind == RecordKind::kLoad || r.kind == RecordKind::kModify) count(AccessOp::kRead);
    if (r.kind == RecordKind::kStore || r.kind == RecordKind::kModify) count(AccessOp::kWrite);
  }
  return sum;
}

uint64_t Script::references() const {
  const auto sum = by_op();
  return sum[0] + sum[1] + sum[2];
}

std::string gtrace_of(const TraceBatch& batch, const TraceInfo& info) {
  auto sink = std::make_unique<StringSink>();
  const StringSink& bytes = *sink;
  auto writer = create_gtrace_writer(std::move(sink), info).value();
  EXPECT_TRUE(writer->write(batch.records, batch.events).ok());
  EXPECT_TRUE(writer->finish().ok());
  return bytes.bytes();
}

std::string written_as(absl::string_view format, const TraceBatch& batch) {
  auto sink = std::make_unique<StringSink>();
  const StringSink& bytes = *sink;
  auto writer = (*find_trace_format(format).value()->write)(std::move(sink), {}).value();
  EXPECT_TRUE(writer->write(batch.records, batch.events).ok());
  EXPECT_TRUE(writer->finish().ok());
  EXPECT_EQ(writer->left_out(), 0u) << format;
  return bytes.bytes();
}

TraceBatch read_trace(const std::string& path) {
  TraceBatch all;
  auto reader = open_trace(path);
  EXPECT_TRUE(reader.ok()) << reader.status();
  if (!reader.ok()) return all;
  std::vector<TraceRecord> some(4096);
  std::vector<TraceEvent> events;
  for (;;) {
    const absl::StatusOr<size_t> got = (*reader)->read(absl::MakeSpan(some), events);
    EXPECT_TRUE(got.ok()) << got.status();
    if (!got.ok() || *got == 0) return all;
    for (size_t i = 0; i < *got; ++i) {
      TraceRecord r = some[i];
      if (r.kind == RecordKind::kEvent) {
        all.events.push_back(events.at(r.address.value()));
        r.address = Gva(all.events.size() - 1);
      }
      all.records.push_back(r);
    }
  }
}

ReplaySetup small_setup(std::vector<std::string> traces) {
  ReplaySetup setup;
  setup.traces = std::move(traces);
  setup.machine.guest.memory_bytes = 256 << 20;
  setup.machine.guest.kernel_large = false;
  setup.cost = find_cost_model("modern").value_or(cost_presets().front().make());
  return setup;
}

const std::vector<std::string>& all_backends() {
  static const std::vector<std::string> kAll = {
      "native", "shadow", "shadow:unsync=off", "vtlb", "direct", "nested", "npt", "agile"};
  return kAll;
}

SessionResult replayed(const ReplaySetup& setup, const std::vector<std::string>& backends) {
  absl::StatusOr<SessionResult> result = replay(setup, backends);
  EXPECT_TRUE(result.ok()) << result.status();
  if (result.ok()) return *std::move(result);
  SessionResult none;
  none.machines.resize(backends.size());
  return none;
}

ReplayResult replayed_native(const ReplaySetup& setup) {
  return replayed(setup, {"native"}).machines[0];
}

void expect_same_guest_stats(const GuestStats& a, const GuestStats& b) {
  for (const GuestStatInfo& row : guest_stat_table()) EXPECT_EQ(a[row.id], b[row.id]) << row.name;
}

void expect_same_counters(const Counters& a, const Counters& b, const std::vector<Counter>& but) {
  for (const CounterInfo& row : counter_table()) {
    if (std::find(but.begin(), but.end(), row.id) != but.end()) continue;
    EXPECT_EQ(a[row.id], b[row.id]) << row.name;
  }
}

void expect_one_guest(const SessionResult& result) {
  const ReplayResult& native = result.machines.at(0);
  for (const ReplayResult& m : result.machines) {
    SCOPED_TRACE(m.spec);
    EXPECT_TRUE(m.problems.empty())
        << m.problems.front() << " and " << m.problems.size() - 1 << " more";
    EXPECT_FALSE(m.memory_digests.empty());
    EXPECT_EQ(compare_memory(native, m), "");
    expect_same_guest_stats(native.guest, m.guest);
    for (const Counter c : {Counter::kAccesses, Counter::kGuestFaults, Counter::kCr3Loads,
                            Counter::kInvlpgs, Counter::kTableReads}) {
      EXPECT_EQ(native.counters[c], m.counters[c]) << info(c).name;
    }
    // A store to a page that was a table and that the backend still takes for one is counted as
    // one.
    const uint64_t most =
        native.counters[Counter::kTableWrites] + m.counters[Counter::kExitTableWrite];
    EXPECT_GE(m.counters[Counter::kTableWrites], native.counters[Counter::kTableWrites]);
    EXPECT_LE(m.counters[Counter::kTableWrites], most);
  }
}

}  // namespace gnomon::replay_test

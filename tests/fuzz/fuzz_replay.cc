// SPDX-License-Identifier: Apache-2.0
//
// A trace of anything on a replay machine: the first bytes choose the backend and the guest, the
// others records and events, sensible and absurd. Statuses must be clean and the backend sound; a
// guest with a kernel must be the one that the native backend runs.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "gnomon/replay/machine.h"

namespace {

using namespace gnomon;

constexpr const char* kBackends[] = {"native", "shadow", "shadow:unsync=off",
                                     "vtlb",   "direct", "nested",
                                     "npt",    "agile",  "shadow:prefetch=8"};
constexpr uint64_t kArea = 0x7f0000000000;
constexpr uint64_t kAbsurd[] = {0,
                                1,
                                0xfff,
                                0x1000,
                                (1 << 21) - 1,
                                1 << 21,
                                uint64_t{1} << 32,
                                (uint64_t{1} << 47) - 1,
                                uint64_t{1} << 47,
                                uint64_t{1} << 60,
                                uint64_t{1} << 63,
                                0xffff'8880'0000'0000,
                                0xffff'ffff'8000'0000,
                                ~uint64_t{0} - 0xfff,
                                ~uint64_t{0},
                                0x7fff'ffff'f000};

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return at_ >= size_; }
  uint64_t byte() { return empty() ? 0 : data_[at_++]; }
  uint64_t below(uint64_t bound) {
    const uint64_t low = byte();
    return (bound > 256 ? low | byte() << 8 : low) % bound;
  }
  /// Mostly pages of one area, sometimes anything.
  uint64_t address() {
    const uint64_t kind = byte();
    if (kind < 200) return kArea + below(64) * 4096 + (kind < 40 ? kind * 103 : 0);
    if (kind < 230) return kArea + below(8) * (1 << 21) + (kind < 215 ? 0 : 4090);
    return number();
  }
  uint64_t length() {
    const uint64_t kind = byte();
    return kind < 210 ? below(64) * 4096 : kind < 230 ? below(4) << 21 : number();
  }
  uint64_t number() {
    const uint64_t kind = byte();
    if (kind < 200) return kAbsurd[kind % std::size(kAbsurd)];
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

TraceEvent random_event(Input& in, bool whole_guest) {
  TraceEvent e;
  const uint64_t kind = in.byte();
  // What makes sense for the machine more often than not.
  constexpr uint64_t kFirst = static_cast<uint64_t>(EventKind::kGuest);
  constexpr uint64_t kLast = static_cast<uint64_t>(EventKind::kTlbOp);
  e.kind = static_cast<EventKind>(kind >= 224    ? kind % kEventKindCount
                                  : !whole_guest ? kind % kFirst
                                                 : kFirst + kind % (kLast - kFirst));
  const uint64_t absurd = in.byte();
  e.process = static_cast<uint32_t>(absurd < 250 ? in.below(5) : in.number());
  e.thread = static_cast<uint32_t>(absurd < 250 ? in.below(3) : in.number());
  e.flags = static_cast<uint32_t>(absurd < 240 ? in.below(128) : in.number());
  e.address = in.address();
  e.length = in.length();
  e.value = e.kind == EventKind::kFork    ? in.below(5)
            : e.kind == EventKind::kRemap ? in.address()
                                          : in.number();
  e.extra = e.kind == EventKind::kRemap ? in.length() : in.number();
  e.file = in.below(4);
  if (e.kind == EventKind::kAdvise) e.value = in.below(5);
  if (e.kind == EventKind::kExit || e.kind == EventKind::kMark)
    e.flags = static_cast<uint32_t>(in.below(3));
  if (whole_guest && absurd < 240) {
    // Tables in the first pages of memory, that point to its first pages.
    const uint64_t at = in.below(8) << 12 | in.below(8) << 3;
    const uint64_t entry =
        in.below(16) << 12 | (in.byte() & 0xe7) | (in.byte() > 200 ? uint64_t{1} << 63 : 0);
    if (e.kind == EventKind::kTableWrite || e.kind == EventKind::kTableRead) {
      e.address = at;
      e.value = entry;
      e.flags = 8;
    }
    if (e.kind == EventKind::kCr3) e.value = in.below(8) << 12;
    if (e.kind == EventKind::kControls) {
      e.value = 0x80010001;
      e.extra = 0xa0 | (absurd & 1 ? 0x10 : 0);
      e.address = absurd & 2 ? 0x900 : 0;
    }
  }
  return e;
}

TraceBatch random_batch(Input& in, bool whole_guest) {
  constexpr size_t kMostRecords = 400;
  TraceBatch batch;
  while (!in.empty() && batch.records.size() < kMostRecords) {
    const uint64_t what = in.byte();
    if (what < 90) {
      batch.records.push_back({Gva(batch.events.size()), 0, RecordKind::kEvent, false});
      batch.events.push_back(random_event(in, whole_guest));
      continue;
    }
    TraceRecord r;
    r.kind = static_cast<RecordKind>(what % 4);
    r.size = static_cast<uint16_t>(what < 240 ? 8 : 1 + in.below(kMaxRecordBytes));
    r.supervisor = whole_guest && (what & 4) != 0;
    r.address = Gva(whole_guest ? in.below(64) << 12 | in.below(16) << 8 : in.address());
    batch.records.push_back(r);
  }
  return batch;
}

[[noreturn]] void wrong(const MachineOptions& o, const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", o.backend.c_str(), what.c_str());
  std::abort();
}

struct End {
  absl::Status status;
  GuestStats guest;
  std::vector<uint64_t> digests;
};

End run(const MachineOptions& options, const TraceBatch& batch, uint64_t windows) {
  auto machine = ReplayMachine::create(options);
  if (!machine.ok()) {
    if (machine.status().code() != absl::StatusCode::kResourceExhausted)
      wrong(options, machine.status().ToString());
    return {machine.status(), {}, {}};
  }
  End end;
  absl::Span<const TraceRecord> rest(batch.records);
  for (uint32_t turn = 0; !rest.empty() && end.status.ok(); ++turn) {
    // In several pieces and groups, some of them events only, some not counted.
    const size_t now =
        std::min<size_t>(rest.size(), windows == 0 ? rest.size() : 1 + (windows * (turn + 1)) % 50);
    const uint32_t group = windows == 0 ? 0 : turn % 2;
    (*machine)->measure((windows + turn) % 3 != 0);
    end.status = (windows + turn) % 7 == 1
                     ? (*machine)->run_events(group, rest.first(now), batch.events)
                     : (*machine)->run(group, rest.first(now), batch.events);
    rest.remove_prefix(now);
  }
  (*machine)->measure(false);
  if (absl::IsInternal(end.status)) wrong(options, end.status.ToString());
  for (const AuditFinding& f : (*machine)->backend().audit()) wrong(options, f.text);
  end.guest = (*machine)->guest_stats();
  end.digests = (*machine)->memory_digests();
  return end;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(data, size);
  MachineOptions options;
  options.backend = kBackends[in.below(std::size(kBackends))];
  const uint64_t shape = in.byte();
  const uint64_t guest = in.byte();
  options.whole_guest = (shape & 7) == 7;
  options.vcpus = 1 + (shape >> 3) % 3;
  options.tlb = (shape & 32) != 0 ? "tiny" : "zen4";
  options.tick = (shape & 64) != 0 ? 20 : 0;
  options.move_data = true;
  options.guest.memory_bytes = (guest & 1) != 0 ? 1 << 20 : 16 << 20;
  options.guest.kernel_entries = (guest & 2) != 0;
  options.guest.kernel_large = false;
  options.guest.pcid = (guest & 4) != 0;
  options.guest.clear_on_exit = (guest & 8) != 0;
  options.guest.placement = static_cast<FramePlacement>((guest >> 4) % 3);
  // A paravirtual guest has large pages only where the host has.
  if ((guest & 64) != 0 && options.backend != "direct") options.guest.thp = HugePages::kAlways;
  options.guest.max_processes = 20;
  const uint64_t windows = in.byte();

  const TraceBatch batch = random_batch(in, options.whole_guest);
  const End end = run(options, batch, windows);
  if (options.whole_guest) return 0;  // may use what it has not invalidated, and see what it likes
  MachineOptions reference = options;
  reference.backend = "native";
  const End want = run(reference, batch, windows);
  if (want.status.code() != end.status.code()) {
    wrong(options, want.status.ToString() + " under native, but " + end.status.ToString());
  }
  if (want.digests != end.digests) wrong(options, "other memory than under native");
  for (const GuestStatInfo& row : guest_stat_table()) {
    if (want.guest[row.id] != end.guest[row.id])
      wrong(options, std::string(row.name) + " differs from native");
  }
  return 0;
}

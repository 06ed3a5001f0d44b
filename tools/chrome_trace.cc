// SPDX-License-Identifier: Apache-2.0
#include "tools/chrome_trace.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon::tools {
namespace {

constexpr std::array<absl::string_view, 3> kTrackNames = {"guest", "MMU", "hypervisor"};

std::string quoted(absl::string_view text) {
  using Json = nlohmann::json;
  return Json(std::string(text)).dump(-1, ' ', true, Json::error_handler_t::replace);
}

/// Nanoseconds, the finest unit viewers keep. Rounding is monotonic, so what nests stays nested.
uint64_t nanoseconds(double cycles, double cycles_per_microsecond) {
  constexpr double kMost = 9e15;  // 104 days; exact in a double
  const double ns = cycles / cycles_per_microsecond * 1000;
  return ns > 0 ? static_cast<uint64_t>(std::llround(std::min(ns, kMost))) : 0;
}

std::string microseconds(uint64_t ns) { return absl::StrFormat("%d.%03d", ns / 1000, ns % 1000); }

// Viewers confuse a thread with the process whose number it has, so threads count from far above.
uint64_t process_of(uint16_t vcpu) { return uint64_t{vcpu} + 1; }
uint64_t thread_of(uint16_t vcpu, size_t track) {
  return 100'000 + uint64_t{vcpu} * kTrackNames.size() + track;
}

/// A slice on the way out.
struct Placed {
  const TimelineSlice* slice;
  uint64_t start;  // in nanoseconds
  uint64_t end;
  uint64_t flow_out = 0;  // number of the arrow that starts here; 0: none
  uint64_t flow_in = 0;
};

/// Slices by time, an outer one before those in it.
std::vector<Placed> placed_slices(const Timeline& timeline) {
  std::vector<Placed> placed;
  placed.reserve(timeline.slices.size());
  for (const TimelineSlice& slice : timeline.slices) {
    const double rate = timeline.cycles_per_microsecond;
    const uint64_t start = nanoseconds(slice.start, rate);
    const uint64_t end = nanoseconds(slice.start + std::max(slice.cycles, 0.0), rate);
    placed.push_back({&slice, start, std::max(start, end)});
  }
  std::stable_sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    // At the same time, what takes longer is outside; a moment belongs to what starts there.
    return std::make_tuple(a.start, ~a.end, !(a.slice->cycles > 0)) <
           std::make_tuple(b.start, ~b.end, !(b.slice->cycles > 0));
  });
  return placed;
}

void nest(std::vector<Placed>& placed) {
  absl::flat_hash_map<uint64_t, std::vector<uint64_t>> open_ends;  // by thread, outermost first
  for (Placed& p : placed) {
    std::vector<uint64_t>& open =
        open_ends[thread_of(p.slice->vcpu, static_cast<size_t>(p.slice->track))];
    while (!open.empty() && open.back() <= p.start) open.pop_back();
    if (!open.empty()) p.end = std::min(p.end, open.back());
    if (p.end > p.start) open.push_back(p.end);
  }
}

/// Viewers hang an arrow on the slice it starts or ends in, so a moment can have none.
void connect(std::vector<Placed>& placed) {
  absl::flat_hash_map<uint64_t, Placed*> writes;  // by page, the latest that was not followed up
  uint64_t arrows = 0;
  for (Placed& p : placed) {
    if (p.slice->address == 0 || p.end == p.start) continue;
    const uint64_t page = p.slice->address >> 12;
    if (p.slice->track == TimelineTrack::kVmm && p.slice->name == "exit_table_write") {
      writes[page] = &p;
    } else if (p.slice->name == "synced_pages") {
      const auto found = writes.find(page);
      if (found == writes.end()) continue;
      found->second->flow_out = p.flow_in = ++arrows;
      writes.erase(found);
    }
  }
}

/// Writes events as they come, in pieces of some size.
class EventWriter {
 public:
  explicit EventWriter(ByteSink& sink) : sink_(sink) {}

  void begin(absl::string_view head) { absl::StrAppend(&buffer_, head, "\"traceEvents\":["); }

  /// `fields` are the members of one event.
  template <class... Parts>
  void event(const Parts&... fields) {
    absl::StrAppend(&buffer_, first_ ? "\n{" : ",\n{", fields..., "}");
    first_ = false;
    if (buffer_.size() >= kPiece) flush();
  }

  absl::Status finish() {
    buffer_ += "\n]}\n";
    flush();
    return status_.ok() ? sink_.finish() : status_;
  }
  bool ok() const { return status_.ok(); }

 private:
  static constexpr size_t kPiece = 64 * 1024;
  void flush() {
    if (status_.ok()) status_ = sink_.write(buffer_);
    buffer_.clear();
  }

  ByteSink& sink_;
  std::string buffer_;
  absl::Status status_;
  bool first_ = true;
};

std::string place(uint16_t vcpu, TimelineTrack track) {
  return absl::StrCat(",\"pid\":", process_of(vcpu),
                      ",\"tid\":", thread_of(vcpu, static_cast<size_t>(track)));
}

void write_names(const std::set<uint16_t>& vcpus, EventWriter& out) {
  for (const uint16_t vcpu : vcpus) {
    const auto name = [&](absl::string_view kind, size_t track, absl::string_view args) {
      out.event("\"ph\":\"M\",\"name\":\"", kind, "\"",
                place(vcpu, static_cast<TimelineTrack>(track)), ",\"args\":{", args, "}");
    };
    name("process_name", 0, absl::StrCat("\"name\":\"vCPU ", vcpu, "\""));
    name("process_sort_index", 0, absl::StrCat("\"sort_index\":", vcpu));
    for (size_t track = 0; track < kTrackNames.size(); ++track) {
      name("thread_name", track, absl::StrCat("\"name\":\"", kTrackNames[track], "\""));
      name("thread_sort_index", track, absl::StrCat("\"sort_index\":", track));
    }
  }
}

void write_slice(const Placed& p, EventWriter& out) {
  const TimelineSlice& slice = *p.slice;
  const std::string where = place(slice.vcpu, slice.track);
  const std::string ts = microseconds(p.start);
  std::string timing = ",\"s\":\"t\"";
  if (slice.cycles > 0) timing = absl::StrCat(",\"dur\":", microseconds(p.end - p.start));
  out.event("\"ph\":\"", slice.cycles > 0 ? "X" : "i", "\",\"name\":", quoted(slice.name),
            ",\"cat\":\"gnomon\"", where, ",\"ts\":", ts, timing,
            ",\"args\":{\"reference\":", slice.reference, ",\"address\":\"0x",
            absl::Hex(slice.address), "\"}");
  for (const auto& [phase, id] :
       {std::pair("\"s\"", p.flow_out), std::pair("\"f\",\"bp\":\"e\"", p.flow_in)}) {
    if (id == 0) continue;
    out.event("\"ph\":", phase, ",\"name\":\"written, then synchronized\",\"cat\":\"gnomon\"",
              where, ",\"ts\":", ts, ",\"id\":", id);
  }
}

void write_values(const Timeline& timeline, EventWriter& out) {
  std::vector<const TimelineValue*> values;
  for (const TimelineValue& value : timeline.values) values.push_back(&value);
  std::stable_sort(values.begin(), values.end(),
                   [](const TimelineValue* a, const TimelineValue* b) { return a->at < b->at; });
  for (const TimelineValue* value : values) {
    out.event("\"ph\":\"C\",\"name\":", quoted(value->name), ",\"pid\":", process_of(value->vcpu),
              ",\"ts\":", microseconds(nanoseconds(value->at, timeline.cycles_per_microsecond)),
              ",\"args\":{\"value\":", value->value, "}");
    if (!out.ok()) return;
  }
}

}  // namespace

absl::Status write_chrome_trace(const Timeline& timeline, absl::string_view title, ByteSink& sink) {
  if (!(timeline.cycles_per_microsecond > 0) || std::isinf(timeline.cycles_per_microsecond)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a timeline needs a positive number of cycles "
                     "per microsecond, not ",
                     timeline.cycles_per_microsecond));
  }
  std::vector<Placed> placed = placed_slices(timeline);
  nest(placed);
  connect(placed);

  std::set<uint16_t> vcpus = {0};
  for (const TimelineSlice& slice : timeline.slices) vcpus.insert(slice.vcpu);
  for (const TimelineValue& value : timeline.values) vcpus.insert(value.vcpu);

  EventWriter out(sink);
  // Viewers read "otherData" as strings.
  out.begin(absl::StrCat("{\"displayTimeUnit\":\"ns\",\"otherData\":{\"title\":", quoted(title),
                         ",\"cycles_per_microsecond\":\"", timeline.cycles_per_microsecond,
                         "\",\"dropped_slices\":\"", timeline.dropped, "\"},"));
  write_names(vcpus, out);
  uint64_t last = 0;
  for (const Placed& p : placed) {
    write_slice(p, out);
    last = std::max(last, p.end);
    if (!out.ok()) break;
  }
  write_values(timeline, out);
  if (timeline.dropped > 0) {
    out.event("\"ph\":\"i\",\"s\":\"g\",\"name\":\"from here on ", timeline.dropped,
              " slices were left out\",\"cat\":\"gnomon\"", place(0, TimelineTrack::kGuest),
              ",\"ts\":", microseconds(last));
  }
  return out.finish();
}

}  // namespace gnomon::tools

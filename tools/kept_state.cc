// SPDX-License-Identifier: Apache-2.0
#include "tools/kept_state.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_format.h"

namespace gnomon::tools {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kUserEnd = uint64_t{1} << 47;
constexpr size_t kMostMappings = size_t{1} << 20;
constexpr size_t kMostProcesses = size_t{1} << 16;
constexpr MapFlags kRights = kMapRead | kMapWrite | kMapExec;
constexpr MapFlags kNature = kRights | kMapShared | kMapStack | kMapHuge;
// TraceEvent::value of kAdvise.
constexpr uint64_t kWantHuge = 2, kNoHuge = 3;

bool can_be(uint64_t address, uint64_t length) {
  return address % kPage == 0 && address <= kUserEnd && length <= kUserEnd - address;
}
uint64_t page_up(uint64_t address) { return (address + kPage - 1) & ~(kPage - 1); }

}  // namespace

/// Its start moves up within what it shows.
void KeptState::advance(Mapping& mapping, uint64_t bytes) {
  if (mapping.made.file != 0 || mapping.memory != 0) mapping.made.value += bytes;
}

/// Whether a kernel takes the two for one mapping.
bool KeptState::joins(const Mappings::value_type& lower, const Mappings::value_type& upper) {
  const Mapping& a = lower.second;
  const Mapping& b = upper.second;
  const bool of_object = a.made.file != 0 || a.memory != 0;
  return a.end == upper.first && ((a.made.flags ^ b.made.flags) & kNature) == 0 &&
         a.no_huge == b.no_huge && a.untold == b.untold && a.made.file == b.made.file &&
         a.memory == b.memory &&
         (!of_object || a.made.value + (a.end - lower.first) == b.made.value);
}

void KeptState::split(Mappings& all, uint64_t at) {
  auto it = all.lower_bound(at);
  if (it == all.begin()) return;
  --it;
  if (it->second.end <= at) return;
  Mapping upper = it->second;
  advance(upper, at - it->first);
  it->second.end = at;
  all.emplace(at, std::move(upper));
  ++mappings_;
}

void KeptState::cut(Mappings& all, uint64_t start, uint64_t end) {
  split(all, start);
  split(all, end);
  for (auto it = all.lower_bound(start); it != all.end() && it->first < end; --mappings_) {
    it = all.erase(it);
  }
}

void KeptState::put(Mappings& all, uint64_t start, uint64_t end, const Mapping& like) {
  cut(all, start, end);
  Mapping& mapping = all[start];
  mapping = like;
  mapping.end = end;
  ++mappings_;
}

template <class F>
void KeptState::change(Mappings& all, const TraceEvent& event, const F& f) {
  if (!can_be(event.address, event.length)) return;
  const uint64_t end = event.address + page_up(event.length);
  split(all, event.address);
  split(all, end);
  for (auto it = all.lower_bound(event.address); it != all.end() && it->first < end; ++it)
    f(it->second);
}

void KeptState::set_break(Process& process, uint64_t address) {
  if (address > kUserEnd) return;
  const uint64_t end = page_up(address);
  if (!process.heap_start) process.heap_start = process.heap_end = end;
  if (end < *process.heap_start) return;
  if (end < process.heap_end) cut(process.mappings, end, process.heap_end);
  if (end > process.heap_end) {
    Mapping heap;
    heap.made.flags = kMapRead | kMapWrite;
    put(process.mappings, process.heap_end, end, heap);
  }
  process.heap_end = end;
}

void KeptState::map(Mappings& all, const TraceEvent& event) {
  if (event.length == 0 || !can_be(event.address, event.length)) return;
  const uint64_t bytes = page_up(event.length);
  Mapping made;
  made.made = event;
  if (event.file != 0) {
    if (event.value % kPage != 0 || event.value > ~uint64_t{0} - bytes) return;
  } else if ((event.flags & kMapShared) != 0) {
    made.memory = ++memories_;
    made.made.value = 0;
  }
  put(all, event.address, event.address + bytes, made);
}

/// As the kernel of the guest model, which says what cannot be (Kernel::remap).
void KeptState::remap(Mappings& all, const TraceEvent& event) {
  if (!can_be(event.address, event.length) || !can_be(event.value, event.extra) || event.extra == 0)
    return;
  const uint64_t from = event.address, from_end = from + page_up(event.length);
  const uint64_t to = event.value, to_end = to + page_up(event.extra);
  const bool again = from == from_end;  // the mapping is had once more
  const bool moves = from != to || again;
  if (moves && from < to_end && to < std::max(from_end, from + 1)) return;
  auto it = all.upper_bound(from);
  if (it == all.begin() || std::prev(it)->second.end <= from) {
    if (again || (it != all.end() && it->first < from_end)) return;
    Mapping unknown;
    unknown.made.flags = kMapRead | kMapWrite;
    unknown.untold = true;
    put(all, from, from_end, unknown);
    it = all.upper_bound(from);
  }
  --it;
  auto last = it;
  while (last->second.end < from_end) {
    const auto next = std::next(last);
    if (next == all.end() || !joins(*last, *next)) return;
    last = next;
  }
  if (again && (it->second.made.flags & kMapShared) == 0) return;
  if (!moves) {
    if (to_end <= from_end) return cut(all, to_end, from_end);
    cut(all, from_end, to_end);
    std::prev(all.lower_bound(from_end))->second.end = to_end;
    return;
  }
  Mapping moved = it->second;
  advance(moved, from - it->first);
  if (!again) cut(all, from, from_end);
  put(all, to, to_end, moved);
}

void KeptState::fork(const TraceEvent& event) {
  if (event.value > ~uint32_t{0} || processes_.contains(static_cast<uint32_t>(event.value))) return;
  const Process parent = processes_[event.process];
  mappings_ += parent.mappings.size();
  processes_.emplace(static_cast<uint32_t>(event.value), parent);
}

absl::Status KeptState::pass(const TraceEvent& event) {
  const auto current = [&]() -> Process& { return processes_[process_]; };
  switch (event.kind) {
    case EventKind::kSwitch:
      process_ = event.process;
      thread_ = event.thread;
      current();
      break;
    case EventKind::kFork: fork(event); break;
    case EventKind::kExec:
      mappings_ -= processes_[event.process].mappings.size();
      processes_[event.process] = Process();
      break;
    case EventKind::kExit:
      if ((event.flags & 1) == 0) break;
      mappings_ -= processes_[event.process].mappings.size();
      processes_.erase(event.process);
      break;
    case EventKind::kMap: map(current().mappings, event); break;
    case EventKind::kUnmap:
      if (can_be(event.address, event.length)) {
        cut(current().mappings, event.address, event.address + page_up(event.length));
      }
      break;
    case EventKind::kProtect:
      change(current().mappings, event, [&](Mapping& m) {
        m.made.flags = (m.made.flags & ~kRights) | (event.flags & kRights);
      });
      break;
    case EventKind::kBreak: set_break(current(), event.address); break;
    case EventKind::kRemap: remap(current().mappings, event); break;
    case EventKind::kAdvise:
      if (event.value != kWantHuge && event.value != kNoHuge) break;
      change(current().mappings, event, [&](Mapping& m) {
        m.no_huge = event.value == kNoHuge;
        m.made.flags = m.no_huge ? m.made.flags & ~kMapHuge : m.made.flags | kMapHuge;
      });
      break;
    case EventKind::kMark:
      if (event.flags == 1) region_ = event;
      if (event.flags == 2) region_.reset();
      break;
    default: break;
  }
  if (mappings_ <= kMostMappings && processes_.size() <= kMostProcesses) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrFormat("the part that --skip leaves out has more than %d mappings or %d processes",
                      kMostMappings, kMostProcesses));
}

TraceBatch KeptState::batch() const {
  TraceBatch all;
  const auto add = [&](TraceEvent event) {
    all.records.push_back({Gva(all.events.size()), 0, RecordKind::kEvent, false});
    all.events.push_back(std::move(event));
  };
  const auto plain = [&](EventKind kind, uint64_t address, uint64_t length = 0,
                         uint64_t value = 0) {
    TraceEvent event;
    event.kind = kind;
    event.address = address;
    event.length = length;
    event.value = value;
    add(std::move(event));
  };
  const auto run = [&](uint32_t process, uint32_t thread) {
    TraceEvent event;
    event.kind = EventKind::kSwitch;
    event.process = process;
    event.thread = thread;
    add(std::move(event));
  };
  for (const auto& [number, process] : processes_) {
    if (process.mappings.empty() && !process.heap_start) continue;
    run(number, 0);
    if (process.heap_start) {
      plain(EventKind::kBreak, *process.heap_start);
      if (process.heap_end > *process.heap_start) {
        // Its mappings, which may have holes and other rights by now, follow with the others.
        plain(EventKind::kBreak, process.heap_end);
        plain(EventKind::kUnmap, *process.heap_start, process.heap_end - *process.heap_start);
      }
    }
    for (const auto& [start, mapping] : process.mappings) {
      if (mapping.untold) continue;
      TraceEvent event = mapping.made;
      event.kind = EventKind::kMap;
      event.address = start;
      event.length = mapping.end - start;
      event.flags &= ~kMapPopulate;  // which pages there were is not known
      if (event.file == 0) event.value = 0;
      add(std::move(event));
      if (mapping.no_huge) plain(EventKind::kAdvise, start, mapping.end - start, kNoHuge);
    }
  }
  if (!all.records.empty() || process_ != 0 || thread_ != 0) run(process_, thread_);
  if (region_) add(*region_);
  return all;
}

}  // namespace gnomon::tools

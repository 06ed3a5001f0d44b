// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_format.h"
#include "traces/guest/kernel_impl.h"

namespace gnomon::guest {

/// mremap, whose result is known: what lies at the new place goes, as with MREMAP_FIXED.
absl::Status Kernel::remap(Processor& p, Mm& mm, const TraceEvent& event) {
  const absl::StatusOr<Range> from = range_of(event.address, event.length);
  if (!from.ok()) return from.status();
  const absl::StatusOr<Range> to = range_of(event.value, event.extra);
  if (!to.ok()) return to.status();
  if (to->bytes() == 0) return absl::InvalidArgumentError("the new length is 0");
  const bool moves = from->start != to->start || from->bytes() == 0;
  if (moves && from->start < to->end && to->start < std::max(from->end, from->start + 1)) {
    return absl::InvalidArgumentError("the old and the new place overlap");
  }
  Vma* vma = mm.vmas.find(from->start);
  const Vma* above = mm.vmas.at_or_above(from->start);
  if (vma == nullptr && from->bytes() != 0 && (above == nullptr || above->start >= from->end)) {
    // A trace that does not tell of all its mappings.
    if (absl::Status s = room(mm, *from, 1); !s.ok()) return s;
    Vma unknown;
    unknown.start = from->start;
    unknown.end = from->end;
    unknown.flags = kMapRead | kMapWrite;
    unknown.implicit = true;
    mm.vmas.insert(unknown);
    vma = mm.vmas.find(from->start);
  }
  if (vma == nullptr || vma->end < from->end) {
    return absl::InvalidArgumentError(
        absl::StrFormat("[0x%x, 0x%x) is not one mapping", from->start, from->end));
  }
  if (from->bytes() == 0 && !vma->shared()) {
    return absl::InvalidArgumentError("the old length is 0, and the mapping is not shared");
  }
  if (!moves) {
    if (to->end <= from->end) return unmap(p, mm, {to->end, from->end});
    Vma more = *vma;
    more.offset += more.object != 0 ? from->end - vma->start : 0;
    more.start = from->end;
    more.end = to->end;
    const Range added{more.start, more.end};
    if (absl::Status s = room(mm, added, 1); !s.ok()) return s;
    if (absl::Status s = unmap(p, mm, added); !s.ok()) return s;
    mm.vmas.insert(more);
    return absl::OkStatus();
  }
  return move_mapping(p, mm, *from, *to);
}

/// From an empty range the mapping is had once more, and nothing moves: what was there stays whole.
absl::Status Kernel::move_mapping(Processor& p, Mm& mm, Range from, Range to) {
  const bool again = from.bytes() == 0;
  absl::Status fits =
      again ? room(mm, to, 1) : room(mm, from, 1 + mm.vmas.growth(to.start, to.end, 0));
  if (!fits.ok()) return fits;
  if (!again && !split_edges(p, mm, from)) return out_of_memory();
  if (absl::Status s = unmap(p, mm, to); !s.ok()) return s;
  Vma moved = *mm.vmas.find(from.start);
  if (moved.object != 0) moved.offset += from.start - moved.start;
  moved.start = to.start;
  moved.end = to.end;
  mm.vmas.insert(moved);
  if (again) return absl::OkStatus();
  const Range kept{from.start, from.start + std::min(from.bytes(), to.bytes())};
  uint64_t done = 0;
  FlushRange flush;
  flush.add(from.start, kFrameBytes);
  flush.end = from.end;
  if (!move_entries(p, mm, kept, to.start, done)) {
    // Back again: that takes no memory, the tables are still there.
    uint64_t back = 0;
    move_entries(p, mm, {to.start, to.start + done}, from.start, back);
    processors_.flush(p, mm, flush);
    if (absl::Status s = unmap(p, mm, to); !s.ok()) return s;
    return out_of_memory();
  }
  zap(*p.cpu, mm, from, flush);
  mm.vmas.remove(from.start, from.end);
  free_tables(*p.cpu, mm, from, flush);
  processors_.flush(p, mm, flush);
  return absl::OkStatus();
}

/// Moves whole tables and huge pages where both places are aligned, as Linux does; `moved` says how
/// far it got. False: no memory for a table.
bool Kernel::move_entries(Processor& p, Mm& mm, Range from, uint64_t to, uint64_t& moved) {
  GuestCpu& cpu = *p.cpu;
  for (moved = 0; moved < from.bytes();) {
    const uint64_t va = from.start + moved;
    const uint64_t target = to + moved;
    const bool whole =
        va % kBlockBytes == 0 && target % kBlockBytes == 0 && from.bytes() - moved >= kBlockBytes;
    Slot slot = tables_.walk(cpu, mm.root, va, 2);
    if (slot.entry == 0) {
      const uint64_t span = uint64_t{1} << Long4::shift(slot.level);
      moved += span - va % span;
      continue;
    }
    if (whole) {
      Slot there = tables_.walk(cpu, mm.root, target, 2);
      if (there.entry == 0) {
        const std::optional<Slot> made = tables_.extend(cpu, there, target, 2);
        if (!made) return false;
        tables_.store(cpu, slot.at, 0);
        tables_.store(cpu, made->at, slot.entry);
        moved += kBlockBytes;
        continue;
      }
    }
    if (is_huge(slot.entry)) {
      if (!split_huge(p, mm, slot, va)) return false;
      continue;
    }
    slot = {entry_for(child_of(slot.entry), va, 1), 0, 1};
    slot.entry = tables_.load(cpu, slot.at);
    if (slot.entry != 0) {
      const std::optional<Slot> made =
          tables_.extend(cpu, tables_.walk(cpu, mm.root, target), target, 1);
      if (!made) return false;
      tables_.store(cpu, slot.at, 0);
      tables_.store(cpu, made->at, slot.entry);
    }
    moved += kFrameBytes;
  }
  return true;
}

}  // namespace gnomon::guest

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_format.h"
#include "traces/guest/kernel_impl.h"

namespace gnomon::guest {
namespace {

// TraceEvent::value of kAdvise.
constexpr uint64_t kDrop = 1, kWantHuge = 2, kNoHuge = 3;

constexpr uint64_t page_up(uint64_t address) {
  return (address + kFrameBytes - 1) & ~(kFrameBytes - 1);
}

absl::Status outside(uint64_t address, uint64_t length) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "0x%x bytes at 0x%x do not lie in the user half of the address space", length, address));
}

}  // namespace

absl::StatusOr<Range> Kernel::range_of(uint64_t address, uint64_t length) const {
  if (address % kFrameBytes != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("0x%x is not the address of a page", address));
  }
  if (address > kUserEnd || length > kUserEnd - address) return outside(address, length);
  return Range{address, address + page_up(length)};
}

/// May this change of the range be made, which adds so many mappings besides those it splits?
absl::Status Kernel::room(const Mm& mm, Range range, uint64_t added) const {
  if (mappings_ + mm.vmas.growth(range.start, range.end, added) <= options_.max_mappings) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      absl::StrFormat("more than %d mappings", options_.max_mappings));
}

void Kernel::object_used(uint64_t object, int change) {
  if (!cache_.use(object, change)) return;
  cache_.forget(object, [this](uint64_t frame) { frames_.drop_owner(frame); });
}

absl::Status Kernel::map(Processor& p, Mm& mm, const TraceEvent& event) {
  if (event.length == 0) return absl::InvalidArgumentError("the length is 0");
  const absl::StatusOr<Range> range = range_of(event.address, event.length);
  if (!range.ok()) return range.status();
  if (event.file != 0) {
    if (event.value % kFrameBytes != 0) {
      return absl::InvalidArgumentError(
          absl::StrFormat("0x%x is not the offset of a page", event.value));
    }
    if (event.value > ~uint64_t{0} - range->bytes()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("0x%x bytes at offset 0x%x of a file", event.length, event.value));
    }
  }
  if (absl::Status s = room(mm, *range, 1); !s.ok()) return s;
  if (absl::Status s = unmap(p, mm, *range); !s.ok()) return s;
  Vma vma;
  vma.start = range->start;
  vma.end = range->end;
  vma.flags = event.flags & (kMapRead | kMapWrite | kMapExec | kMapShared | kMapStack);
  if ((event.flags & kMapHuge) != 0) vma.huge = HugeAdvice::kWanted;
  if (event.file != 0) {
    vma.object = cache_.file(mm.key.group, event.file);
    vma.offset = event.value;
  } else if (vma.shared()) {
    vma.object = cache_.new_memory();
  }
  mm.vmas.insert(vma);
  return (event.flags & kMapPopulate) != 0 ? populate(p, mm, *range) : absl::OkStatus();
}

absl::Status Kernel::unmap(Processor& p, Mm& mm, Range range) {
  const Vma* first = mm.vmas.at_or_above(range.start);
  if (first == nullptr || first->start >= range.end) return absl::OkStatus();
  if (absl::Status s = room(mm, range, 0); !s.ok()) return s;
  if (!split_edges(p, mm, range)) return out_of_memory();
  FlushRange flush;
  zap(*p.cpu, mm, range, flush);
  mm.vmas.remove(range.start, range.end);
  free_tables(*p.cpu, mm, range, flush);
  processors_.flush(p, mm, flush);
  return absl::OkStatus();
}

/// The first event of a program says where the heap starts.
absl::Status Kernel::set_break(Processor& p, Mm& mm, const TraceEvent& event) {
  if (event.address > kUserEnd) return outside(event.address, 0);
  const uint64_t end = page_up(event.address);
  if (!mm.heap_start) mm.heap_start = mm.heap_end = end;
  if (end < *mm.heap_start) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "0x%x lies below the heap, which starts at 0x%x", event.address, *mm.heap_start));
  }
  const uint64_t before = *mm.heap_end;
  if (end < before) {
    if (absl::Status s = unmap(p, mm, {end, before}); !s.ok()) return s;
  } else if (end > before) {
    const Range more{before, end};
    if (absl::Status s = room(mm, more, 1); !s.ok()) return s;
    if (absl::Status s = unmap(p, mm, more); !s.ok()) return s;
    Vma vma;
    vma.start = more.start;
    vma.end = more.end;
    vma.flags = kMapRead | kMapWrite;
    mm.vmas.insert(vma);
  }
  mm.heap_end = end;
  return absl::OkStatus();
}

absl::Status Kernel::advise(Processor& p, Mm& mm, const TraceEvent& event) {
  const absl::StatusOr<Range> range = range_of(event.address, event.length);
  if (!range.ok()) return range.status();
  if (range->bytes() == 0) return absl::OkStatus();
  switch (event.value) {
    case kDrop: {
      if (!split_edges(p, mm, *range)) return out_of_memory();
      FlushRange flush;
      zap(*p.cpu, mm, *range, flush);
      processors_.flush(p, mm, flush);
      return absl::OkStatus();
    }
    case kWantHuge:
    case kNoHuge: {
      if (absl::Status s = room(mm, *range, 0); !s.ok()) return s;
      if (!split_edges(p, mm, *range)) return out_of_memory();
      const HugeAdvice huge =
          event.value == kWantHuge ? HugeAdvice::kWanted : HugeAdvice::kNotWanted;
      mm.vmas.update(range->start, range->end, [&](Vma& vma) { vma.huge = huge; });
      return absl::OkStatus();
    }
    default:
      return absl::InvalidArgumentError(absl::StrFormat("there is no advice %d", event.value));
  }
}

/// Faults the pages in, without the exceptions; never more pages than there is memory.
absl::Status Kernel::populate(Processor& p, Mm& mm, Range range) {
  uint64_t left = frames_.total();
  for (uint64_t va = range.start; va < range.end && left != 0; va += kFrameBytes, --left) {
    const Vma* vma = mm.vmas.find(va);
    if (vma == nullptr || (vma->flags & (kMapRead | kMapWrite | kMapExec)) == 0) break;
    const Slot slot = tables_.walk(*p.cpu, mm.root, va);
    if (slot.entry != 0) continue;
    const bool write = (vma->flags & kMapWrite) != 0 && !vma->shared();
    const AccessOp op = write ? AccessOp::kWrite : AccessOp::kRead;
    if (absl::Status s = fill(p, *mm.vmas.find(va), slot, va, op); !s.ok()) return s;
    if (!tables_.failure().ok()) return tables_.failure();
  }
  return absl::OkStatus();
}

}  // namespace gnomon::guest

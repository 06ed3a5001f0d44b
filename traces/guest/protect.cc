// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "traces/guest/kernel_impl.h"

namespace gnomon::guest {

constexpr MapFlags kRightsFlags = kMapRead | kMapWrite | kMapExec;

/// Entries lose at once what the mapping lost. What it gained they get when a fault asks, but for
/// the right to execute, and to write to shared memory.
absl::Status Kernel::protect(Processor& p, Mm& mm, Range range, MapFlags flags) {
  if (range.bytes() == 0) return absl::OkStatus();
  if (absl::Status s = room(mm, range, 0); !s.ok()) return s;
  if (!split_edges(p, mm, range)) return out_of_memory();
  mm.vmas.update(range.start, range.end, [&](Vma& vma) {
    vma.flags = (vma.flags & ~kRightsFlags) | (flags & kRightsFlags);
  });
  FlushRange flush;
  for (const Vma* vma = mm.vmas.at_or_above(range.start); vma != nullptr && vma->start < range.end;
       vma = mm.vmas.at_or_above(vma->end)) {
    const Range part{std::max(range.start, vma->start), std::min(range.end, vma->end)};
    protect_pages(*p.cpu, mm, part, *vma, flush);
  }
  processors_.flush(p, mm, flush);
  return absl::OkStatus();
}

void Kernel::protect_pages(GuestCpu& cpu, Mm& mm, Range range, const Vma& vma, FlushRange& flush) {
  for_each_page(cpu, mm.root, kRootLevel, range,
                [&](Gpa at, uint64_t entry, unsigned level, uint64_t va) {
                  uint64_t write = 0;
                  if ((vma.flags & kMapWrite) != 0) {
                    const bool at_once = vma.shared() && PageCache::is_memory(vma.object);
                    write = at_once ? pte::kWritable : entry & pte::kWritable;
                  }
                  const uint64_t changed = (entry & ~kRightsBits) | rights_bits(vma.flags) | write;
                  if (changed == entry) return;
                  tables_.store(cpu, at, changed);
                  const uint64_t lost = (entry & ~changed & (pte::kPresent | pte::kWritable)) |
                                        (changed & ~entry & pte::kNoExecute);
                  if (is_present(entry) && lost != 0) flush.add(va, span_of(level));
                });
}

}  // namespace gnomon::guest

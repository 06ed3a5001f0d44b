// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "traces/guest/kernel_impl.h"

// Taking entries and tables away. Both walk what is there: empty subtrees cost one load.

namespace gnomon::guest {

void Kernel::drop_page(uint64_t entry, unsigned level) {
  const uint64_t frame = frame_of(entry);
  if (level == 2) {
    stats_[GuestStat::kPagesUnmapped] += kBlockFrames;
    frames_.drop_block_owner(frame);
    return;
  }
  ++stats_[GuestStat::kPagesUnmapped];
  if (frame != zero_frame_) frames_.drop_owner(frame);
}

/// Drops all pages in the range, whose edges no huge page crosses.
void Kernel::zap(GuestCpu& cpu, Mm& mm, Range range, FlushRange& flush, bool store) {
  for_each_page(cpu, mm.root, kRootLevel, range,
                [&](Gpa at, uint64_t entry, unsigned level, uint64_t va) {
                  if (store) tables_.store(cpu, at, 0);
                  drop_page(entry, level);
                  flush.add(va, span_of(level));
                });
}

/// Frees the tables that no mapping needs any more, as Linux's free_pgtables: those that lie wholly
/// between the neighbours of the range, whose mappings and pages are gone.
void Kernel::free_tables(GuestCpu& cpu, Mm& mm, Range range, FlushRange& flush, bool store) {
  const Range gap{mm.vmas.end_below(range.start), mm.vmas.start_above(range.start, kUserEnd)};
  free_level(cpu, mm.root, kRootLevel, range, gap, store, flush);
}

void Kernel::free_level(GuestCpu& cpu, Gpa table, unsigned level, Range range, Range gap,
                        bool store, FlushRange& flush) {
  const uint64_t span = uint64_t{1} << Long4::shift(level);
  for (uint64_t va = range.start & ~(span - 1); va < range.end; va += span) {
    const Gpa at = entry_for(table, va, level);
    const uint64_t entry = tables_.load(cpu, at);
    if (entry == 0 || is_huge(entry)) continue;
    const Range part{std::max(va, range.start), std::min(va + span, range.end)};
    if (level > 2) free_level(cpu, child_of(entry), level - 1, part, gap, store, flush);
    if (va < gap.start || va + span > gap.end) continue;
    if (store) tables_.store(cpu, at, 0);
    tables_.free_table(child_of(entry));
    flush.add(part.start & ~(kFrameBytes - 1), kFrameBytes);
  }
}

/// No huge page crosses the edges afterwards. False: no memory for the tables it takes.
bool Kernel::split_edges(Processor& p, Mm& mm, Range range) {
  for (const uint64_t edge : {range.start, range.end}) {
    if (edge % kBlockBytes == 0) continue;
    const Slot slot = tables_.walk(*p.cpu, mm.root, edge, 2);
    if (is_huge(slot.entry) && !split_huge(p, mm, slot, edge)) return false;
  }
  return true;
}

/// A 2M entry becomes a table of 4K entries that say the same.
bool Kernel::split_huge(Processor& p, Mm& mm, const Slot& slot, uint64_t va) {
  const uint64_t entry = slot.entry;
  const std::optional<Gpa> table =
      tables_.new_filled_table(*p.cpu, entry & ~pte::kLarge, kFrameBytes);
  if (!table) return false;
  frames_.split_block(frame_of(entry));
  tables_.store(*p.cpu, slot.at, table->value() | kTableBits);
  ++stats_[GuestStat::kHugePagesSplit];
  FlushRange flush;
  flush.add(va & ~(kBlockBytes - 1), kBlockBytes);
  processors_.flush(p, mm, flush);
  return true;
}

}  // namespace gnomon::guest

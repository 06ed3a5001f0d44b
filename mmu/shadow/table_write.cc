// SPDX-License-Identifier: Apache-2.0
// The life of a guest table write.
//
//   store to a frame with no shadow, or whose shadow is out of sync ──► plain store, no exit
//   store to a tracked frame: exit
//     ├─ leaf table, and it may go out of sync ── mark unsync ─────────► plain store; later ones are free
//     └─ otherwise ── store, then for each shadow page of the frame:
//          ├─ written often without being used, or not as a table is ─► drop the page (flood)
//          └─ drop each entry that the bytes touch; rebuild leaf entries at once
//
// A table that the guest has freed is still tracked. The next owner of the frame fills it with data, or clears it
// to make another table of it: stores that nobody's walks come between. As KVM does, the third of them ends it, and
// one that no kernel makes to a table ends it at once.
#include "mmu/defects.h"
#include "mmu/guest_access.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {
namespace {

// Kernels store whole entries, halves of 8-byte ones, and single bytes with flags in them. Anything else is data.
bool unlike_an_entry(const ShadowPage& p, unsigned offset, unsigned size) {
  const unsigned entry_bytes = p.role.paging_mode() == PagingMode::kLegacy32 ? 4 : 8;
  if (size == 1 && offset % entry_bytes == 0) return false;
  return size < 4 || offset / entry_bytes != (offset + size - 1) / entry_bytes;
}

}  // namespace

bool ShadowMmu::can_unsync(uint32_t frame) {
  if (!options_.unsync) return false;
  bool leaves_only = true;
  pages_.for_each_shadow(frame, [&](ShadowPage& p) { leaves_only &= p.role.level == 1; });
  return leaves_only;
}

void ShadowMmu::unsync_frame(uint32_t frame) {
  pages_.set_unsync(frame, true);
  pages_.for_each_shadow(frame, [&](ShadowPage& p) {
    p.unsync = true;
    mark_unsync_above(p);
  });
  ++counters_[Counter::kUnsync];
}

void ShadowMmu::mark_unsync_above(ShadowPage& page) {
  pages_.lists().for_each(page.parents, [&](PteId pte) {
    ShadowPage& parent = pages_.page(pte.page());
    const bool known = parent.any_unsync_below();
    parent.unsync_below[pte.index() / 64] |= uint64_t{1} << (pte.index() % 64);
    if (!known) mark_unsync_above(parent);  // at most five deep: a link always goes one level down
  });
}

// Calls f(page, index) for each entry of `page` that was made from the guest bytes [offset, offset + size).
template <class F>
void ShadowMmu::for_each_written(ShadowPage& page, unsigned offset, unsigned size, F&& f) {
  const bool legacy = page.role.paging_mode() == PagingMode::kLegacy32;
  const unsigned entry_bytes = legacy ? 4 : 8;
  // Entries of ours for one of the guest's, and the guest's entries that this page covers.
  const unsigned each = legacy && page.role.level == 2 ? 2 : 1;
  const unsigned covered = kEntries / each;
  const unsigned base = legacy ? page.role.quadrant * covered : 0;
  const unsigned first = offset / entry_bytes;
  const unsigned last = defect(Defect::kCrossEntryWriteSecondHalfLost)
                            ? first
                            : (offset + size - 1) / entry_bytes;
  for (unsigned guest = first; guest <= last; ++guest) {
    if (guest < base || guest >= base + covered) continue;
    for (unsigned i = 0; i < each; ++i) f(page, (guest - base) * each + i);
  }
}

// A page counts as used by a walk that made or found its entries; a leaf table also by the processor, which sets the
// accessed flag of what was rebuilt at the last write.
void ShadowMmu::note_use(ShadowPage& p) const {
  if (p.rebuilt == kEntries) return;
  constexpr uint64_t kUsed = pte::kPresent | pte::kAccessed;
  if (p.role.level == 1 && (load_spte(p.entries[p.rebuilt]) & kUsed) == kUsed) p.flood = 0;
  p.rebuilt = kEntries;
}

// Has the frame become something else than this table?
bool ShadowMmu::flooded(ShadowPage& p, unsigned offset, unsigned size) const {
  if (options_.flood_threshold == 0) return false;
  if (p.role.level == 1 && agile_ != nullptr) return false;  // what is written often goes to nested mode
  if (unlike_an_entry(p, offset, size)) return true;
  note_use(p);
  return ++p.flood >= options_.flood_threshold;
}

void ShadowMmu::entries_written(uint32_t frame, unsigned offset, unsigned size) {
  pages_.for_each_shadow(frame, [&](ShadowPage& p) {
    if (flooded(p, offset, size)) {
      ++counters_[Counter::kFlooded];
      zap(p);
      return;
    }
    for_each_written(p, offset, size, [&](ShadowPage& page, unsigned index) {
      if (page.role.level == 1 && options_.update_on_write) {
        refresh_entry(page, index, Refresh::kWritten);
        page.rebuilt = static_cast<uint16_t>(index);
      } else {
        pages_.drop(page, index);
      }
    });
  });
}

StoreResult ShadowMmu::write_physical(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) {
  VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kTableWrites];
  if (agile_ != nullptr) {
    agile_interval();
    if (agile_->holds(p2m_.frame_index(at)) && agile_->first_write(p2m_.frame_index(at))) {
      ++cpu.counters[Counter::kExitNestedViolation];
    }
  }
  const uint32_t frame = p2m_.frame_index(at);
  if (!store_is_legal(at, size) || !pages_.has_shadow(frame) || pages_.unsync(frame)) {
    return store_untracked(p2m_, at, value, size, cpu.counters);
  }
  ++cpu.counters[Counter::kExitTableWrite];
  const auto offset = static_cast<unsigned>(at.offset_in(PageSize::k4K));
  if (options_.directory == DirectoryPolicy::kFullTrap) {
    ++cpu.counters[Counter::kDirectoryWrites];
    // The store overwrites flags that the processor has set before it: they go to the guest's table first, and
    // with the entries goes the sign of their use.
    if (options_.flags == FlagPolicy::kLazy) {
      pages_.for_each_shadow(frame, [&](ShadowPage& p) {
        note_use(p);
        for_each_written(p, offset, size,
                         [&](ShadowPage& page, unsigned i) { pages_.drop(page, i); });
      });
    }
  } else if (agile_ != nullptr && table_goes_nested(frame)) {
    settle();
    return store_untracked(p2m_, at, value, size, cpu.counters);
  } else if (can_unsync(frame)) {
    unsync_frame(frame);
    return store_untracked(p2m_, at, value, size, cpu.counters);
  }
  const StoreResult result = store_untracked(p2m_, at, value, size, cpu.counters);
  if (result == StoreResult::kDone) {
    ++cpu.counters[Counter::kTableWritesApplied];
    entries_written(frame, offset, size);
    settle();
  }
  return result;
}

}  // namespace gnomon::shadow

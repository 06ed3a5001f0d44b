// SPDX-License-Identifier: Apache-2.0
// Entries of shadow pages, and the reverse map from guest frames to them.
#include <cassert>

#include "mmu/defects.h"
#include "mmu/shadow/page_cache.h"

namespace gnomon::shadow {
namespace {

constexpr PageSize size_at(unsigned level) { return Long4::leaf_size(level); }


}  // namespace

void PageCache::store(ShadowPage& p, unsigned index, uint64_t entry, uint32_t target) {
  // Readers without the lock take the target, then look whether the entry is still the one they walked: so a
  // target is in place before its entry, and stays until the next one.
  if (entry != 0) {
    std::atomic_ref<uint32_t>(p.target[index]).store(target, std::memory_order_release);
  }
  store_entry(p, index, entry);
}

void PageCache::store_entry(ShadowPage& p, unsigned index, uint64_t entry) {
  if (dirty_sink_ == nullptr) [[likely]] {
    store_spte(p.entries[index], entry);
    return;
  }
  // The processor may set the dirty flag up to the last moment.
  const uint64_t last = std::atomic_ref<uint64_t>(p.entries[index]).exchange(entry);
  if (p.role.level == 1 && p.shadows_table() && shows_dirty(last) && !shows_dirty(entry)) {
    dirty_sink_->losing_dirty(p, index);
  }
}

void PageCache::link(ShadowPage& parent, unsigned index, ShadowPage& child, Rights rights) {
  drop(parent, index);
  lists_.add(child.parents, PteId::make(parent.number, index));
  ++parent.live;
  store(parent, index, make_link(child.table, rights), child.number);
}

bool PageCache::set_leaf(ShadowPage& p, unsigned index, uint64_t entry, uint32_t frame) {
  const uint64_t old = p.entries[index];
  if (old == entry && p.target[index] == frame) return false;
  const bool same_page = is_present(old) && !is_mmio(old) && p.target[index] == frame &&
                         ((old ^ entry) & pte::kFrameMask) == 0 &&
                         ((old ^ entry) & pte::kLarge) == 0 &&
                         (p.role.level == 1 || (old & pte::kLarge) != 0);
  if (same_page) {
    rewrite_leaf(p, index, entry);
    return true;
  }
  drop(p, index);
  add_mapping(PteId::make(p.number, index), p.role.level, frame);
  ++p.live;
  store(p, index, entry, frame);
  return true;
}

void PageCache::rewrite_leaf(ShadowPage& p, unsigned index, uint64_t entry) {
  constexpr uint64_t kGrants = pte::kWritable | pte::kUser | pte::kDirty;
  const uint64_t old = p.entries[index];
  if ((old & ~entry & kGrants) != 0 || (~old & entry & pte::kNoExecute) != 0 ||
      ((old ^ entry) & (bit_range(62, 59) | pte::kUser)) != 0) {
    tlb_stale_ = true;
  }
  // A TLB that keeps the translation does not set the flag again: it is the sign of use from then on too.
  if (!tlb_stale_) entry |= old & pte::kAccessed;
  store_entry(p, index, entry);
}

void PageCache::set_mmio(ShadowPage& p, unsigned index, uint64_t entry, uint32_t generation) {
  // Never write a marker over a present entry: its reverse mapping would stay behind.
  if (!defect(Defect::kMmioOverPresentEntry)) drop(p, index);
  ++p.live;
  store(p, index, entry, generation);
}

void PageCache::set_switch(ShadowPage& p, unsigned index, uint64_t entry, uint32_t frame) {
  drop(p, index);
  lists_.add(frames_[frame].mappings, PteId::make(p.number, index));
  ++p.live;
  store(p, index, entry, frame);
}

void PageCache::drop(ShadowPage& p, unsigned index) {
  const uint64_t old = p.entries[index];
  if (!is_present(old)) return;
  const uint32_t target = p.target[index];
  const PteId pte = PteId::make(p.number, index);
  const uint32_t frame = defect(Defect::kFrameDerivedNotStored) ? derived_frame(p, index) : target;
  store(p, index, 0, 0);
  --p.live;
  if (is_mmio(old)) return;
  tlb_stale_ = true;
  if (is_link(old, p.role.level)) {
    [[maybe_unused]] const bool found = lists_.remove(page(target).parents, pte);
    assert(found);
    p.unsync_below[index / 64] &= ~(uint64_t{1} << (index % 64));
  } else {
    remove_mapping(pte, is_switch(old) ? 1 : p.role.level, frame);
  }
}

// Only for Defect::kFrameDerivedNotStored: what the guest's entry of a 64-bit table says by now.
uint32_t PageCache::derived_frame(const ShadowPage& p, unsigned index) const {
  const uint8_t* at = p2m_.ram_at(Gpa::from_frame(p.gfn).with_offset(PageSize::k4K, index * 8));
  const uint32_t frame = at == nullptr || !p.shadows_table()
                             ? P2m::kNoIndex
                             : p2m_.frame_index(Gpa(load_spte(*reinterpret_cast<const uint64_t*>(at)) &
                                                    pte::kFrameMask));
  return frame == P2m::kNoIndex ? p.target[index] : frame;
}

void PageCache::add_mapping(PteId pte, unsigned level, uint32_t frame) {
  if (level == 1) {
    lists_.add(frames_[frame].mappings, pte);
  } else {
    const PageSize size = size_at(level);
    lists_.add(regions(size)[p2m_.frame_at(frame).frame(size)].mappings, pte);
  }
}

void PageCache::remove_mapping(PteId pte, unsigned level, uint32_t frame) {
  [[maybe_unused]] bool found;
  if (level == 1) {
    found = lists_.remove(frames_[frame].mappings, pte);
  } else {
    const PageSize size = size_at(level);
    const uint64_t key = p2m_.frame_at(frame).frame(size);
    found = lists_.remove(regions(size)[key].mappings, pte);
    forget_region(regions(size), key);
  }
  assert((found || defect(Defect::kFrameDerivedNotStored)) &&
         "a leaf entry is in exactly one reverse map");
}

void PageCache::forget_region(Regions& map, uint64_t key) {
  const auto it = map.find(key);
  if (it != map.end() && it->second.mappings.empty() && it->second.tables == 0) map.erase(it);
}

void PageCache::count_table(Gpa table, int change) {
  for (const PageSize size : {PageSize::k2M, PageSize::k1G}) {
    Region& region = regions(size)[table.frame(size)];
    region.tables += static_cast<uint32_t>(change);
    // A large entry over a table could not be write-protected on its own.
    if (change > 0) drop_large(size, table);
    forget_region(regions(size), table.frame(size));
  }
}

bool PageCache::holds_tables(Gpa gpa, PageSize size) const {
  const auto it = regions(size).find(gpa.frame(size));
  return it != regions(size).end() && it->second.tables != 0;
}

const PteList* PageCache::large_map(PageSize size, Gpa gpa) const {
  const auto it = regions(size).find(gpa.frame(size));
  return it == regions(size).end() ? nullptr : &it->second.mappings;
}

bool PageCache::drop_large(PageSize size, Gpa gpa) {
  bool changed = false;
  for (;;) {
    const PteList* list = large_map(size, gpa);
    if (list == nullptr || list->empty()) return changed;
    const PteId pte = lists_.any(*list);
    drop(page(pte.page()), pte.index());
    changed = true;
  }
}

bool PageCache::write_protect(uint32_t frame) {
  bool changed = false;
  lists_.for_each(frames_[frame].mappings, [&](PteId pte) {
    ShadowPage& p = page(pte.page());
    const uint64_t entry = p.entries[pte.index()];
    if (!is_writable(entry) || is_switch(entry)) return;
    rewrite_leaf(p, pte.index(), entry & ~(pte::kWritable | pte::kDirty));
    changed = true;
    ++counters_[Counter::kWriteProtected];
  });
  const Gpa gpa = p2m_.frame_at(frame);
  changed |= drop_large(PageSize::k2M, gpa);
  changed |= drop_large(PageSize::k1G, gpa);
  return changed;
}

bool PageCache::drop_mappings(uint32_t frame) {
  bool changed = false;
  while (!frames_[frame].mappings.empty()) {
    const PteId pte = lists_.any(frames_[frame].mappings);
    drop(page(pte.page()), pte.index());
    changed = true;
  }
  const Gpa gpa = p2m_.frame_at(frame);
  changed |= drop_large(PageSize::k2M, gpa);
  changed |= drop_large(PageSize::k1G, gpa);
  return changed;
}

}  // namespace gnomon::shadow

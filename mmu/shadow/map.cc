// SPDX-License-Identifier: Apache-2.0
// From a guest walk that succeeded to a shadow entry that allows the access.
#include <tuple>

#include "mmu/defects.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {

ShadowPage* ShadowMmu::get_page(uint64_t gfn, Role role) {
  const bool table = role.direct == 0;
  const uint32_t frame = table ? p2m_.frame_index(Gpa::from_frame(gfn)) : P2m::kNoIndex;
  if (table && frame == P2m::kNoIndex) return nullptr;
  if (table && pages_.unsync(frame)) sync_frames({frame});
  if (ShadowPage* found = pages_.find(gfn, role)) {
    ++counters_[Counter::kShadowPagesReused];
    return found;
  }
  ShadowPage* made = pages_.create(gfn, role);
  if (made != nullptr && table && made->next_same_frame == 0) {
    // The frame has become a table: no writable translation of it may survive anywhere.
    const bool changed = options_.directory == DirectoryPolicy::kFullTrap
                             ? pages_.drop_mappings(frame)
                             : pages_.write_protect(frame);
    if (agile_ != nullptr) revoke_nested(Gpa::from_frame(gfn), 1, /*only_writing=*/true);
    if (changed || pages_.tlb_stale() || agile_ != nullptr) flush_tlbs();
  }
  return made;
}

ShadowPage* ShadowMmu::child(ShadowPage& parent, unsigned index, uint64_t gfn, Role role) {
  const uint64_t entry = parent.entries[index];
  if (is_present(entry) && !is_mmio(entry)) {
    if (is_link(entry, parent.role.level)) {
      ShadowPage& linked = pages_.page(parent.target[index]);
      // Frame *and* role: the guest's entry may have changed its meaning since (CVE-2026-53359).
      if (linked.gfn == gfn && (linked.role == role || defect(Defect::kRoleNotComparedOnReuse))) {
        return &linked;
      }
    }
    flush_needed_ = true;  // walk caches may still lead to what was linked here
  }
  ShadowPage* page = get_page(gfn, role);
  if (page == nullptr) return nullptr;
  // A guest need not flush when it makes an entry present, so nothing below may be stale.
  if (page->any_unsync_below()) sync_below(*page);
  pages_.link(parent, index, *page, kAllRights);
  return page;
}

ShadowMmu::Path ShadowMmu::path_to(VcpuRoots& v, Gva va, const Walk<Gpa>& w, Rights leaf_rights,
                                   unsigned stop) {
  if (v.current.switched) return {nullptr, true};
  ShadowPage* page = &pages_.page(v.current.top);
  for (unsigned level = shadow_levels(v.cpu->rules.mode);; --level) {
    page->referenced = true;
    page->flood = 0;
    if (level == stop) return {page, false};
    const unsigned index = Long4::index(va, level);
    if (v.current.glue != 0 && level == 4) {
      page = &pages_.page(v.current.glue);
      continue;
    }
    const unsigned below = level - 1;
    Role role = v.current.role;
    role.level = below;
    uint64_t gfn;
    if (below <= w.start_level && below >= w.level) {
      gfn = w.table[below].frame();
      role.access = defect(Defect::kRightsOfLeafOnly) ? kAllRights : w.rights_above[below];
      // A 1024-entry table of 4-byte entries fills two pages of ours, a directory four.
      if (role.paging_mode() == PagingMode::kLegacy32) role.quadrant = index & (below == 2 ? 3 : 1);
    } else {
      role.direct = 1;
      role.access = leaf_rights;
      role.key = w.key;
      role.global = w.global;
      gfn = w.address.page_base(Long4::leaf_size(level)).frame();
    }
    if (agile_ != nullptr && role.direct == 0 && place_switch(*page, index, gfn, role.access)) {
      return {nullptr, true};
    }
    page = child(*page, index, gfn, role);
    if (page == nullptr) return {nullptr, false};
  }
}

unsigned ShadowMmu::leaf_level(const Walk<Gpa>& w, P2mEntry e) const {
  if (!options_.large_pages) return 1;
  unsigned level = largest_leaf(p2m_, w, e);
  if (w.start_level == 0) level = std::min(level, 2u);  // without paging level 3 is glue
  while (level > 1 && !defect(Defect::kLargePageOverTable) &&
         pages_.holds_tables(w.address, Long4::leaf_size(level))) {
    --level;  // a table inside could not be write-protected on its own
  }
  return level;
}

ShadowMmu::Mapped ShadowMmu::map(VcpuRoots& v, Gva va, const Walk<Gpa>& w, Rights rights,
                                 P2mEntry e) {
  unsigned level = leaf_level(w, e);
  auto [page, switched] = path_to(v, va, w, rights, level);
  if (page != nullptr && level > 1 && !defect(Defect::kLargePageOverTable) &&
      pages_.holds_tables(w.address, Long4::leaf_size(level))) {
    level = 1;  // the path itself lies in the page
    std::tie(page, switched) = path_to(v, va, w, rights, level);
  }
  if (page == nullptr) return {.switched = switched};
  const uint32_t frame = p2m_.frame_index(w.address);
  if (options_.directory == DirectoryPolicy::kFullTrap && pages_.has_shadow(frame)) return {};
  if (!e.writable() || (agile_ != nullptr && agile_->unwritten(frame)) ||
      (pages_.tracked(frame) && !defect(Defect::kWritableMappingOfTrackedTable))) {
    rights &= ~kRightWrite & kAllRights;
  }
  const PageSize size = Long4::leaf_size(level);
  const auto first_in_page = static_cast<uint32_t>(w.address.offset_in(size) >> 12);
  const LeafParts leaf{.frame = Hpa(e.frame().value()).page_base(size),
                       .rights = rights,
                       .key = w.key,
                       .global = w.global,
                       .accessed = true,
                       .dirty = w.dirty};
  Mapped mapped{make_leaf(leaf, level), page, Long4::index(va, level), false};
  const uint64_t old = page->entries[mapped.index];
  if (level > 1 && is_present(old) && !(old & pte::kLarge)) flush_needed_ = true;
  pages_.set_leaf(*page, mapped.index, mapped.spte, frame - first_in_page);
  if (level > 1) {
    ++v.cpu->counters[Counter::kShadowLargeFills];
  } else if (page->shadows_table()) {
    prefetch(*page, mapped.index);
  } else {
    ++v.cpu->counters[Counter::kSplintered];
  }
  return mapped;
}

void ShadowMmu::place_marker(VcpuRoots& v, Gva va, const Walk<Gpa>& w, Rights rights) {
  if (!fits_mmio(w.address)) return;
  ShadowPage* page = std::get<0>(path_to(v, va, w, rights, 1));
  if (page == nullptr) return;
  pages_.set_mmio(*page, Long4::index(va, 1), make_mmio(w.address, w.rights, w.key, w.dirty),
                  p2m_.generation());
  ++v.cpu->counters[Counter::kMmioEntries];
}

void ShadowMmu::prefetch(ShadowPage& page, unsigned index) {
  if (options_.prefetch < 2) return;
  const unsigned first = index & ~(options_.prefetch - 1);
  for (unsigned i = first; i < first + options_.prefetch; ++i) {
    if (page.entries[i] == 0) refresh_entry(page, i, Refresh::kMayAdd);
  }
}

}  // namespace gnomon::shadow

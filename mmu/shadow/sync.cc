// SPDX-License-Identifier: Apache-2.0
// Guest flushes: what the guest changed without our notice becomes visible to the processor.
//
// A table goes back in sync as a whole frame: first it is write-protected and all vCPUs forget their
// writable translations of it, then its entries are read again. In the other order a store of another vCPU
// could slip in between.
#include <algorithm>

#include "mmu/defects.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {

void ShadowMmu::collect_unsync(ShadowPage& page, std::vector<uint32_t>& frames) {
  for (unsigned word = 0; word < page.unsync_below.size(); ++word) {
    while (page.unsync_below[word] != 0) {
      const unsigned bit = static_cast<unsigned>(__builtin_ctzll(page.unsync_below[word]));
      page.unsync_below[word] &= page.unsync_below[word] - 1;
      ShadowPage& below = pages_.page(page.target[word * 64 + bit]);
      if (below.role.level > 1) {
        collect_unsync(below, frames);
      } else if (below.unsync) {
        frames.push_back(p2m_.frame_index(Gpa::from_frame(below.gfn)));
      }
    }
  }
}

void ShadowMmu::sync_below(ShadowPage& page) {
  if (!page.any_unsync_below()) return;
  std::vector<uint32_t> frames;
  collect_unsync(page, frames);
  std::sort(frames.begin(), frames.end());
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
  sync_frames(frames);
}

void ShadowMmu::sync_frames(absl::Span<const uint32_t> frames) {
  bool changed = false;
  for (const uint32_t frame : frames) {
    if (!pages_.unsync(frame)) continue;
    changed |= pages_.write_protect(frame);
    pages_.set_unsync(frame, false);
  }
  if (changed || (!frames.empty() && pages_.tlb_stale())) flush_tlbs();
  for (const uint32_t frame : frames) {
    pages_.for_each_shadow(frame, [&](ShadowPage& p) {
      if (!p.unsync) return;
      p.unsync = false;
      ++counters_[Counter::kSyncedPages];
      bool skip = defect(Defect::kStaleAfterSync);
      for (unsigned i = 0; i < kEntries; ++i) {
        if (p.entries[i] == 0) continue;
        if (!std::exchange(skip, false)) refresh_entry(p, i, Refresh::kExisting);
      }
    });
  }
}

void ShadowMmu::invalidate_address(const Root& root, Gva va) {
  if (root.top == 0) return;
  ShadowPage* page = &pages_.page(root.top);
  while (page->role.level > 1) {
    const unsigned index = Long4::index(va, page->role.level);
    const uint64_t entry = page->entries[index];
    if (!is_link(entry, page->role.level)) return;
    page = &pages_.page(page->target[index]);
  }
  // Entries of tables in sync are right as they are; only what we do not watch can be stale.
  if (page->unsync) refresh_entry(*page, Long4::index(va, 1), Refresh::kMayAdd);
}

void ShadowMmu::invlpg(VcpuState& cpu, Gva va) {
  VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kExitInvlpg];
  VcpuRoots& v = roots_of(cpu);
  // Cached roots too: the address may be global there.
  invalidate_address(v.current, va);
  for (const Root& root : v.previous) invalidate_address(root, va);
}

void ShadowMmu::invpcid(VcpuState& cpu, InvpcidType type, uint16_t pcid, Gva va) {
  VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kExitInvlpg];
  VcpuRoots& v = roots_of(cpu);
  const auto for_each_root = [&](auto&& f) {
    f(v.current);
    for (const Root& root : v.previous) f(root);
  };
  for_each_root([&](const Root& root) {
    if (root.top == 0) return;
    const bool named = root.pcid == pcid;
    switch (type) {
      case InvpcidType::kAddress:
        if (named) invalidate_address(root, va);
        break;
      case InvpcidType::kContext:
        if (named) sync_below(pages_.page(root.top));
        break;
      case InvpcidType::kAllWithGlobals:
      case InvpcidType::kAll:
        sync_below(pages_.page(root.top));
        break;
    }
  });
}

}  // namespace gnomon::shadow

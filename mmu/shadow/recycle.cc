// SPDX-License-Identifier: Apache-2.0
// Making room, and letting zapped pages go once no processor can be walking them.
#include "mmu/defects.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {

uint32_t ShadowMmu::page_limit() const {
  // Whatever the budget says, each vCPU can hold one full path, and a root with its glue.
  const auto floor = static_cast<uint32_t>(8 * (1 + cpus_.all().size()));
  const uint64_t pages = options_.budget_bytes / kBytesPerShadowPage;
  return pages < floor ? floor : static_cast<uint32_t>(std::min<uint64_t>(pages, 1u << 21));
}

void ShadowMmu::zap(ShadowPage& page) {
  if (page.roots != 0 && !defect(Defect::kRootNotRevalidatedAfterReclaim)) drop_roots_using(page);
  if (!page.doomed) pages_.zap(page);
}

// Second chance: a page used since the last look moves to the young end; the first one that was not, goes.
// What cached roots hold goes last, what current roots hold never.
void ShadowMmu::make_room(unsigned pages) {
  // Some host frames stay free for what the guest touches first.
  constexpr unsigned kSpareFrames = 8;
  const auto short_of_room = [&] {
    return pages_.live_pages() + pages > page_limit() ||
           p2m_.host().free_bytes() < (pages + kSpareFrames) * bytes_of(PageSize::k4K);
  };
  if (!short_of_room() || defect(Defect::kReclaimFatal)) [[likely]] return;
  bool cached_roots_dropped = false;
  for (uint32_t looks = 2 * pages_.live_pages() + 2; short_of_room(); --looks) {
    if (looks == 0 || pages_.oldest() == 0) {
      if (cached_roots_dropped) break;
      cached_roots_dropped = true;
      for (const auto& v : vcpus_) {
        if (v == nullptr) continue;
        for (Root& root : v->previous) drop_root(root);
        v->previous.clear();
      }
      looks = 2 * pages_.live_pages() + 2;
      settle();
      if (agile_ != nullptr) revoke_nested(Gpa(), ~uint64_t{0}, /*only_writing=*/false);
      continue;
    }
    ShadowPage& page = pages_.page(pages_.oldest());
    const bool in_use = page.roots != 0 && !defect(Defect::kRootNotRevalidatedAfterReclaim);
    if (in_use || page.referenced) {
      page.referenced = false;
      pages_.make_newest(page);
      continue;
    }
    ++counters_[Counter::kShadowPagesRecycled];
    zap(page);
    if (!defect(Defect::kRootNotRevalidatedAfterReclaim)) settle();
  }
}

void ShadowMmu::flush_tlbs() {
  ++counters_[Counter::kTlbFlushRequests];
  cpus_.flush_all(p2m_.lock().threaded());
  pages_.clear_tlb_stale();
  flush_needed_ = false;
}

void ShadowMmu::settle() {
  if (flush_needed_ || pages_.has_doomed()) flush_tlbs();
  pages_.free_doomed();
  counters_[Counter::kTableBytes] = bytes_now();
  uint64_t& peak = counters_[Counter::kTableBytesPeak];
  peak = std::max(peak, bytes_now());
}

void ShadowMmu::drop_caches() {
  VmGuard guard(p2m_.lock());
  for (const auto& v : vcpus_) {
    if (v == nullptr) continue;
    drop_root(v->current);
    publish_root(*v);
    for (Root& root : v->previous) drop_root(root);
    v->previous.clear();
  }
  pages_.for_each_page([&](ShadowPage& p) { pages_.zap(p); });
  if (agile_ != nullptr) {
    for (const uint32_t frame : agile_->held()) leave_nested(frame);
    revoke_nested(Gpa(), ~uint64_t{0}, /*only_writing=*/false);
  }
  settle();
}

}  // namespace gnomon::shadow

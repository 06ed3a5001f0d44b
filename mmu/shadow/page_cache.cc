// SPDX-License-Identifier: Apache-2.0
#include "mmu/shadow/page_cache.h"

#include <cassert>
#include <cstring>

namespace gnomon::shadow {

PageCache::PageCache(P2m& p2m, Counters& counters)
    : p2m_(p2m),
      counters_(counters),
      frames_(P2m::kMaxFrames),
      page_at_(p2m.host().bytes() >> 12) {
  // Never to move: processors look pages up without the lock.
  chunks_.reserve(kMaxPages >> kChunkShift);
}

PageCache::~PageCache() {
  for (uint32_t n = oldest_; n != 0; n = page(n).newer) p2m_.host().free(page(n).table);
  for (const uint32_t n : doomed_) p2m_.host().free(page(n).table);
  for (auto& chunk : chunks_) {
    for (uint32_t i = 0; i <= kChunkMask; ++i) delete[] chunk[i].target;
  }
}

uint32_t& PageCache::chain_of(const ShadowPage& p) {
  if (p.shadows_table()) {
    const uint32_t frame = p2m_.frame_index(Gpa::from_frame(p.gfn));
    assert(frame != P2m::kNoIndex && "a table outside RAM has no shadow");
    return frames_[frame].shadows;
  }
  return direct_chains_[p.gfn];
}

ShadowPage* PageCache::find(uint64_t gfn, Role role) {
  uint32_t n = 0;
  if (role.direct != 0) {
    const auto it = direct_chains_.find(gfn);
    if (it != direct_chains_.end()) n = it->second;
  } else {
    const uint32_t frame = p2m_.frame_index(Gpa::from_frame(gfn));
    if (frame != P2m::kNoIndex) n = frames_[frame].shadows;
  }
  for (; n != 0; n = page(n).next_same_frame) {
    if (page(n).role == role) return &page(n);
  }
  return nullptr;
}

ShadowPage* PageCache::create(uint64_t gfn, Role role) {
  if (free_numbers_.empty() && next_number_ == kMaxPages) return nullptr;
  const std::optional<Hpa> table = p2m_.host().allocate(FrameOwner::kShadowTable);
  if (!table) return nullptr;
  uint32_t n;
  if (!free_numbers_.empty()) {
    n = free_numbers_.back();
    free_numbers_.pop_back();
  } else {
    n = next_number_++;
    if (n >> kChunkShift == chunks_.size()) {
      chunks_.push_back(std::make_unique<ShadowPage[]>(kChunkMask + 1));
    }
  }
  ShadowPage& p = page(n);
  uint32_t* const target = p.target != nullptr ? p.target : new uint32_t[kEntries];
  p = ShadowPage{};
  p.number = n;
  p.role = role;
  p.gfn = gfn;
  p.table = *table;
  p.entries = p2m_.host().at<uint64_t>(*table);
  p.target = target;
  p.referenced = true;
  if (role.glue == 0) {
    uint32_t& head = chain_of(p);
    p.next_same_frame = head;
    head = n;
    if (p.shadows_table() && p.next_same_frame == 0) count_table(Gpa::from_frame(gfn), +1);
  }
  // With release: foresight may look at any frame, and then at the page it finds there.
  std::atomic_ref<uint32_t>(page_at_[host_index(*table)]).store(n, std::memory_order_release);
  age_insert(p);
  ++live_pages_;
  ++counters_[Counter::kShadowPagesCreated];
  return &p;
}

void PageCache::zap(ShadowPage& p) {
  while (!p.parents.empty()) {
    const PteId parent = lists_.any(p.parents);
    drop(page(parent.page()), parent.index());
  }
  for (unsigned i = 0; p.live != 0 && i < kEntries; ++i) drop(p, i);
  if (p.role.glue == 0) {
    uint32_t* at = &chain_of(p);
    while (*at != p.number) at = &page(*at).next_same_frame;
    *at = p.next_same_frame;
    if (p.shadows_table()) {
      const uint32_t frame = p2m_.frame_index(Gpa::from_frame(p.gfn));
      if (frames_[frame].shadows == 0) {
        frames_[frame].unsync = false;
        count_table(Gpa::from_frame(p.gfn), -1);
      }
    } else if (const auto it = direct_chains_.find(p.gfn); it->second == 0) {
      direct_chains_.erase(it);
    }
  }
  age_remove(p);
  --live_pages_;
  p.doomed = true;
  doomed_.push_back(p.number);
  ++counters_[Counter::kShadowPagesZapped];
}

void PageCache::free_doomed() {
  for (const uint32_t n : doomed_) {
    ShadowPage& p = page(n);
    std::atomic_ref<uint32_t>(page_at_[host_index(p.table)]).store(0, std::memory_order_relaxed);
    p2m_.host().free(p.table);
    p.number = 0;
    p.entries = nullptr;
    free_numbers_.push_back(n);
  }
  doomed_.clear();
}

void PageCache::age_insert(ShadowPage& p) {
  p.older = newest_;
  p.newer = 0;
  (newest_ != 0 ? page(newest_).newer : oldest_) = p.number;
  newest_ = p.number;
}

void PageCache::age_remove(ShadowPage& p) {
  (p.older != 0 ? page(p.older).newer : oldest_) = p.newer;
  (p.newer != 0 ? page(p.newer).older : newest_) = p.older;
}

void PageCache::make_newest(ShadowPage& p) {
  age_remove(p);
  age_insert(p);
}

}  // namespace gnomon::shadow

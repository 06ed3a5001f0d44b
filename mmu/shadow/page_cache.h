// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_SHADOW_PAGE_CACHE_H_
#define MMU_SHADOW_PAGE_CACHE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "gnomon/base/counters.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/memory/lazy_array.h"
#include "mmu/shadow/shadow_page.h"
#include "mmu/shadow/spte.h"

// The shadow pages of a virtual machine and every pointer between them. Rules of this room:
//
//   1. All changes of an entry go through link, set_leaf, set_mmio and drop, which keep `target`, the
//      reverse map, parent lists and `live` in step. A present entry is dropped before another kind is
//      written over it.
//   2. A leaf entry is in exactly one reverse map: of its 4K frame, or of its 2M or 1G region.
//   3. A frame is *tracked* while it has shadow pages that are in sync; then no leaf entry maps it
//      writable. All shadow pages of a frame are in sync, or all are out of sync.
//   4. A zapped page keeps its memory until `free_doomed`, which is called when no processor can
//      still be walking it.
// The VM's lock is held for everything here, but for what a vCPU in the guest looks up: page, at_table, load_target_ahead.

namespace gnomon::shadow {

/// Told of each entry that is about to lose a dirty flag which the processor set in it.
class DirtySink {
 public:
  virtual void losing_dirty(const ShadowPage& page, unsigned index) = 0;

 protected:
  ~DirtySink() = default;
};

class PageCache {
 public:
  PageCache(P2m& p2m, Counters& counters);
  ~PageCache();
  PageCache(const PageCache&) = delete;
  PageCache& operator=(const PageCache&) = delete;

  void set_dirty_sink(DirtySink* sink) { dirty_sink_ = sink; }

  // Pages.
  ShadowPage& page(uint32_t number) { return chunks_[number >> kChunkShift][number & kChunkMask]; }
  const ShadowPage& page(uint32_t number) const {
    return chunks_[number >> kChunkShift][number & kChunkMask];
  }
  /// The page for this frame and role, or null.
  ShadowPage* find(uint64_t gfn, Role role);
  /// A new empty page, or null when the host has no frame for it. Not yet write-protected: see ShadowMmu.
  ShadowPage* create(uint64_t gfn, Role role);
  /// Takes the page out of the cache: drops its entries and all links to it.
  void zap(ShadowPage& page);
  void free_doomed();
  bool has_doomed() const { return !doomed_.empty(); }
  uint32_t live_pages() const { return live_pages_; }
  uint64_t bytes() const { return live_pages_ * kBytesPerShadowPage; }
  /// False: the system refused the address space for the bookkeeping.
  bool ready() const { return frames_.size() != 0 && page_at_.size() != 0; }
  /// The page that lies in a host frame, or null.
  ShadowPage* at_table(Hpa table) {
    const uint32_t n = std::atomic_ref<uint32_t>(page_at_[host_index(table)]).load(std::memory_order_relaxed);
    return n == 0 ? nullptr : &page(n);
  }

  /// Brings the target of an entry into our processor's caches, if it is an entry of ours.
  void load_target_ahead(Hpa entry) const {
    const uint32_t n = std::atomic_ref<uint32_t>(page_at_.data()[host_index(entry)]).load(std::memory_order_acquire);
    const size_t pair = entry.offset_in(PageSize::k4K) / sizeof(uint64_t) & ~size_t{1};
    if (n != 0) load_ahead(page(n).target + pair);
  }

  // Entries.
  void link(ShadowPage& parent, unsigned index, ShadowPage& child, Rights rights);
  /// False when the entry was already so.
  bool set_leaf(ShadowPage& page, unsigned index, uint64_t entry, uint32_t frame);
  void set_mmio(ShadowPage& page, unsigned index, uint64_t entry, uint32_t generation);
  void set_switch(ShadowPage& page, unsigned index, uint64_t entry, uint32_t frame);
  void drop(ShadowPage& page, unsigned index);
  /// Changes bits of a leaf that stays where it is.
  void rewrite_leaf(ShadowPage& page, unsigned index, uint64_t entry);

  // Frames.
  bool has_shadow(uint32_t frame) const { return frame != P2m::kNoIndex && frames_[frame].shadows != 0; }
  bool unsync(uint32_t frame) const { return frames_[frame].unsync; }
  bool tracked(uint32_t frame) const { return has_shadow(frame) && !frames_[frame].unsync; }
  void set_unsync(uint32_t frame, bool on) { frames_[frame].unsync = on; }
  /// Calls f(ShadowPage&) for each shadow page of a table frame; f may zap the page it is given.
  template <class F>
  void for_each_shadow(uint32_t frame, F&& f) {
    for (uint32_t n = frames_[frame].shadows; n != 0;) {
      ShadowPage& p = page(n);
      n = p.next_same_frame;
      f(p);
    }
  }
  /// Takes write permission from every entry that maps `frame`; large ones are dropped. True if any changed.
  bool write_protect(uint32_t frame);
  /// Drops every entry that maps any part of the 4K frame.
  bool drop_mappings(uint32_t frame);
  /// Is there a shadowed table in the naturally aligned region of `size` around `gpa`?
  bool holds_tables(Gpa gpa, PageSize size) const;

  /// A present translation went away, or lost rights, since this was last cleared: TLBs may still have it.
  bool tlb_stale() const { return tlb_stale_; }
  void clear_tlb_stale() { tlb_stale_ = false; }
  void mark_tlb_stale() { tlb_stale_ = true; }

  // Recycling: oldest first.
  uint32_t oldest() const { return oldest_; }
  void make_newest(ShadowPage& page);

  template <class F>
  void for_each_page(F&& f) {
    for (uint32_t n = oldest_; n != 0;) {
      ShadowPage& p = page(n);
      n = p.newer;
      f(p);
    }
  }
  template <class F>
  void for_each_page(F&& f) const {
    for (uint32_t n = oldest_; n != 0; n = page(n).newer) f(page(n));
  }

  const PteListPool& lists() const { return lists_; }
  const PteList& small_map(uint32_t frame) const { return frames_[frame].mappings; }
  const PteList* large_map(PageSize size, Gpa gpa) const;
  uint32_t frame_capacity() const { return p2m_.frame_capacity(); }

 private:
  static constexpr uint32_t kMaxPages = 1u << 22;  // what a PteId can name
  static constexpr unsigned kChunkShift = 8;
  static constexpr uint32_t kChunkMask = (1u << kChunkShift) - 1;

  struct FrameInfo {
    uint32_t shadows;   // chain of pages that shadow this frame as a table
    PteList mappings;   // 4K leaf entries that map it, and switches that lead to it
    bool unsync;
  };
  struct Region {
    PteList mappings;    // large leaf entries that map it
    uint32_t tables = 0;  // frames in it that have a shadow
  };
  using Regions = absl::flat_hash_map<uint64_t, Region>;

  size_t host_index(Hpa hpa) const { return (hpa.value() - p2m_.host().base().value()) >> 12; }
  uint32_t& chain_of(const ShadowPage& page);
  Regions& regions(PageSize size) { return size == PageSize::k2M ? regions_2m_ : regions_1g_; }
  const Regions& regions(PageSize size) const {
    return size == PageSize::k2M ? regions_2m_ : regions_1g_;
  }
  void count_table(Gpa table, int change);
  uint32_t derived_frame(const ShadowPage& page, unsigned index) const;
  bool drop_large(PageSize size, Gpa gpa);
  void forget_region(Regions& map, uint64_t key);
  void add_mapping(PteId pte, unsigned level, uint32_t frame);
  void remove_mapping(PteId pte, unsigned level, uint32_t frame);
  void age_insert(ShadowPage& page);
  void age_remove(ShadowPage& page);
  void store(ShadowPage& page, unsigned index, uint64_t entry, uint32_t target);

  void store_entry(ShadowPage& page, unsigned index, uint64_t entry);

  P2m& p2m_;
  Counters& counters_;
  DirtySink* dirty_sink_ = nullptr;
  std::vector<std::unique_ptr<ShadowPage[]>> chunks_;
  std::vector<uint32_t> free_numbers_;
  std::vector<uint32_t> doomed_;
  uint32_t next_number_ = 1;
  uint32_t live_pages_ = 0;
  uint32_t oldest_ = 0, newest_ = 0;
  bool tlb_stale_ = false;
  LazyArray<FrameInfo> frames_;
  LazyArray<uint32_t> page_at_;
  absl::flat_hash_map<uint64_t, uint32_t> direct_chains_;  // pages that shadow no table, by gfn
  Regions regions_2m_, regions_1g_;
  PteListPool lists_;
};

}  // namespace gnomon::shadow

#endif  // MMU_SHADOW_PAGE_CACHE_H_

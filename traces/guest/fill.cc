// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "traces/guest/kernel_impl.h"

// Faults on pages that are not there.

namespace gnomon::guest {

std::optional<uint64_t> Kernel::cleared_page(GuestCpu& cpu) {
  const std::optional<uint64_t> frame = frames_.take();
  if (!frame) return std::nullopt;
  ++stats_[GuestStat::kPagesCleared];
  cpu.clear_page(page_at(*frame));
  return frame;
}

/// The page of the mapping's object, after reading it in if needed. nullopt: no memory.
std::optional<uint64_t> Kernel::cached_page(GuestCpu& cpu, const Vma& vma, uint64_t va) {
  const uint64_t page = vma.page_in_object(va);
  if (const uint64_t frame = cache_.find(vma.object, page); frame != 0) {
    ++stats_[GuestStat::kPageCacheHits];
    return frame;
  }
  const std::optional<uint64_t> frame = cleared_page(cpu);
  if (!frame) return std::nullopt;
  ++stats_[GuestStat::kPageCacheMisses];
  cache_.add(vma.object, page, *frame);
  return frame;
}

uint64_t Kernel::own_page_entry(uint64_t frame, const Vma& vma, bool written) const {
  const uint64_t write = (vma.flags & kMapWrite) != 0 ? pte::kWritable : 0;
  return make_page(frame, vma.flags) | write | (written ? pte::kDirty : 0);
}

absl::Status Kernel::fill(Processor& p, Vma& vma, Slot slot, uint64_t va, AccessOp op) {
  if (slot.level >= 2 && wants_huge(vma, va)) {
    const std::optional<Slot> at = tables_.extend(*p.cpu, slot, va, 2);
    if (!at) return out_of_memory();
    slot = *at;
    if (fill_huge(p, vma, slot)) return absl::OkStatus();
  }
  const std::optional<Slot> leaf = tables_.extend(*p.cpu, slot, va, 1);
  if (!leaf) return out_of_memory();
  return vma.anonymous() ? fill_anonymous(p, vma, *leaf, op)
                         : fill_from_object(p, vma, *leaf, va, op);
}

/// Private anonymous memory that has the whole 2M around the address, and is of the kind that gets
/// them.
bool Kernel::wants_huge(const Vma& vma, uint64_t va) const {
  const bool wanted = options_.thp == HugePages::kAlways    ? vma.huge != HugeAdvice::kNotWanted
                      : options_.thp == HugePages::kMadvise ? vma.huge == HugeAdvice::kWanted
                                                            : false;
  const uint64_t base = va & ~(kBlockBytes - 1);
  return wanted && vma.anonymous() && base >= vma.start && base + kBlockBytes <= vma.end;
}

/// False: no block is free.
bool Kernel::fill_huge(Processor& p, Vma& vma, const Slot& slot) {
  const std::optional<uint64_t> block = frames_.take_block();
  if (!block) return false;
  for (uint64_t i = 0; i < kBlockFrames; ++i) p.cpu->clear_page(page_at(*block + i));
  stats_[GuestStat::kPagesCleared] += kBlockFrames;
  tables_.store(*p.cpu, slot.at, own_page_entry(*block, vma, /*written=*/true) | pte::kLarge);
  ++stats_[GuestStat::kFaultsHuge];
  ++stats_[GuestStat::kHugePagesMapped];
  vma.own_pages = true;
  return true;
}

absl::Status Kernel::fill_anonymous(Processor& p, Vma& vma, const Slot& slot, AccessOp op) {
  // What is only read is the page of zeros. Code is never all zeros: a page that is run has been
  // written without the trace telling.
  const bool own = op == AccessOp::kWrite || (op == AccessOp::kFetch && vma.implicit);
  uint64_t entry = make_page(zero_frame_, vma.flags);
  if (own) {
    const std::optional<uint64_t> frame = cleared_page(*p.cpu);
    if (!frame) return out_of_memory();
    entry = own_page_entry(*frame, vma, op == AccessOp::kWrite);
    vma.own_pages = true;
  }
  tables_.store(*p.cpu, slot.at, entry);
  ++stats_[GuestStat::kFaultsAnonymous];
  ++stats_[GuestStat::kPagesMapped];
  return absl::OkStatus();
}

absl::Status Kernel::fill_from_object(Processor& p, Vma& vma, const Slot& slot, uint64_t va,
                                      AccessOp op) {
  const bool write = op == AccessOp::kWrite;
  const std::optional<uint64_t> page = cached_page(*p.cpu, vma, va);
  if (!page) return out_of_memory();
  if (write && !vma.shared()) {
    const std::optional<uint64_t> own = frames_.take();
    if (!own) return out_of_memory();
    p.cpu->copy_page(page_at(*page), page_at(*own));
    tables_.store(*p.cpu, slot.at, own_page_entry(*own, vma, /*written=*/true));
    ++stats_[GuestStat::kPagesMapped];
    ++stats_[GuestStat::kPagesCopied];
    ++stats_[GuestStat::kFaultsCow];
    vma.own_pages = true;
    return absl::OkStatus();
  }
  // A file wants to be told of the first write to each page; shared memory does not.
  const bool writable = write || (vma.shared() && PageCache::is_memory(vma.object));
  tables_.store(*p.cpu, slot.at,
                writable ? own_page_entry(*page, vma, write) : make_page(*page, vma.flags));
  frames_.add_owner(*page);
  ++stats_[GuestStat::kFaultsFile];
  ++stats_[GuestStat::kPagesMapped];
  if (!write) map_around(*p.cpu, vma, slot, va);
  return absl::OkStatus();
}

/// Linux's fault-around: neighbours that are in the page cache are mapped too.
void Kernel::map_around(GuestCpu& cpu, const Vma& vma, const Slot& slot, uint64_t va) {
  const uint64_t window = std::min(std::max(options_.fault_around_bytes, kFrameBytes), kBlockBytes);
  const uint64_t base = va & ~(window - 1);
  const uint64_t end = std::min(base + window, vma.end);
  const bool writable = vma.shared() && PageCache::is_memory(vma.object);
  for (uint64_t at = std::max(base, vma.start); at < end; at += kFrameBytes) {
    if (at == va) continue;
    const uint64_t frame = cache_.find(vma.object, vma.page_in_object(at));
    if (frame == 0) continue;
    const Gpa entry = entry_for(slot.at.page_base(), at, 1);
    if (tables_.load(cpu, entry) != 0) continue;
    tables_.store(cpu, entry,
                  writable ? own_page_entry(frame, vma, false) : make_page(frame, vma.flags));
    frames_.add_owner(frame);
    ++stats_[GuestStat::kPagesAround];
  }
}

}  // namespace gnomon::guest

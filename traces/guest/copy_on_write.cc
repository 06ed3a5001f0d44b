// SPDX-License-Identifier: Apache-2.0
#include "traces/guest/kernel_impl.h"

namespace gnomon::guest {

/// A write to a private page that is mapped without the right to write. Whoever is the last to have
/// it gets the right back; others get a copy, of 4K even if it was part of a huge page.
absl::Status Kernel::copy_on_write(Processor& p, Mm& mm, Vma& vma, Slot slot, uint64_t va) {
  const auto give_right_back = [&] {
    ++stats_[GuestStat::kFaultsCow];
    const uint64_t entry = (slot.entry & ~kRightsBits) | rights_bits(vma.flags);
    tables_.store(*p.cpu, slot.at, entry | pte::kWritable | pte::kDirty | pte::kAccessed);
    return absl::OkStatus();
  };
  if (slot.level == 2) {
    if (frames_.block_is_exclusive(frame_of(slot.entry))) return give_right_back();
    if (!split_huge(p, mm, slot, va)) return out_of_memory();
    slot = tables_.walk(*p.cpu, mm.root, va);
  }
  const uint64_t old = frame_of(slot.entry);
  if (old != zero_frame_ && frames_.owners(old) == 1) return give_right_back();

  std::optional<uint64_t> frame;
  if (old == zero_frame_) {
    frame = cleared_page(*p.cpu);
  } else if (frame = frames_.take(); frame) {
    p.cpu->copy_page(page_at(old), page_at(*frame));
    ++stats_[GuestStat::kPagesCopied];
  }
  if (!frame) return out_of_memory();
  ++stats_[GuestStat::kFaultsCow];
  tables_.store(*p.cpu, slot.at, 0);
  FlushRange flush;
  flush.add(va, kFrameBytes);
  processors_.flush(p, mm, flush);
  tables_.store(*p.cpu, slot.at, own_page_entry(*frame, vma, /*written=*/true));
  if (old != zero_frame_) frames_.drop_owner(old);
  vma.own_pages = true;
  return absl::OkStatus();
}

}  // namespace gnomon::guest

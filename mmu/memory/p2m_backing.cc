// SPDX-License-Identifier: Apache-2.0
#include "gnomon/memory/p2m.h"

// Which host frame, and of which size, a lazy guest frame gets. Every choice follows from the
// slot's options, the address and what is free on the host, so that a run can be repeated.

namespace gnomon {
namespace {

// A hash of the slot's seed and two numbers (each round is one of splitmix64).
uint64_t draw(uint64_t seed, uint64_t number, uint64_t salt) {
  uint64_t x = seed;
  for (const uint64_t word : {number, salt}) {
    x += 0x9e3779b97f4a7c15 + word;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    x ^= x >> 31;
  }
  return x;
}

bool is_fragmented(const SlotOptions& options, uint64_t region_2m) {
  constexpr uint64_t kSaltOfRegions = 1;  // host addresses, the other salts, are 4K-aligned
  return draw(options.seed, region_2m, kSaltOfRegions) % 100 < options.fragmented_percent;
}

bool has_fragmented_part(const SlotOptions& options, Gpa page, PageSize size) {
  if (options.fragmented_percent == 0) return false;
  const uint64_t first = page.frame(PageSize::k2M);
  const uint64_t regions = bytes_of(size) / bytes_of(PageSize::k2M);
  for (uint64_t i = 0; i < regions; ++i) {
    if (is_fragmented(options, first + i)) return true;
  }
  return false;
}

}  // namespace

P2mEntry P2m::back(Gpa gpa) {
  const P2mEntry now = lookup(gpa);
  if (now.state() != FrameState::kLazy) return now;
  return back_in(*slot_around(gpa), gpa);
}

// `slot` need not be in slots_ yet.
P2mEntry P2m::back_in(const Slot& slot, Gpa gpa) {
  const uint32_t i = number_in(slot, gpa);
  if (entry(i).state() != FrameState::kLazy) return entry(i);
  for (const PageSize size : {PageSize::k1G, PageSize::k2M}) {
    if (size > slot.options.backing || !may_be_large(slot, gpa, size)) continue;
    const std::optional<Hpa> block = host_->allocate(FrameOwner::kGuestRam, size);
    if (!block) continue;
    set_page(number_in(slot, gpa.page_base(size)), *block, size);
    return entry(i);
  }
  const std::optional<Hpa> frame = allocate_4k(slot, gpa, 0);
  if (frame) set_page(i, *frame, PageSize::k4K);
  return entry(i);
}

// Does the naturally aligned page around a lazy frame lie in the slot, with all frames lazy, and do
// the options want it large?
bool P2m::may_be_large(const Slot& slot, Gpa gpa, PageSize size) const {
  const Gpa page = gpa.page_base(size);
  if (!page_lies_in(slot, page, size)) return false;
  if (has_fragmented_part(slot.options, page, size)) return false;
  const uint32_t first = number_in(slot, page);
  const uint32_t end = first + frames_of(size);
  const auto lazy = [&](uint32_t i) { return entry(i).state() == FrameState::kLazy; };
  // Neighbours first: a region that is being filled frame by frame, upwards or downwards, is then
  // told from an untouched one at once, and not by a scan for each of its frames.
  const uint32_t i = number_in(slot, gpa);
  if ((i > first && !lazy(i - 1)) || (i + 1 < end && !lazy(i + 1))) return false;
  for (uint32_t j = first; j < end; ++j) {
    if (!lazy(j)) return false;
  }
  return true;
}

// A frame for `gpa`; another `salt` makes it another one if frames are scattered.
std::optional<Hpa> P2m::allocate_4k(const Slot& slot, Gpa gpa, uint64_t salt) {
  const FrameOwner owner = FrameOwner::kGuestRam;
  if (slot.options.placement == Placement::kContiguous) return host_->allocate(owner);
  return host_->allocate_scattered(owner, draw(slot.options.seed, gpa.frame(), salt));
}

// The frames from number `first` on become RAM in the host page at `block`.
void P2m::set_page(uint32_t first, Hpa block, PageSize size) {
  for (uint32_t i = 0; i < frames_of(size); ++i) {
    const Hpa frame = Hpa::from_frame(block.frame() + i);
    set_entry(first + i, entry(first + i).moved_to(FrameState::kRam, frame, size));
  }
}

}  // namespace gnomon

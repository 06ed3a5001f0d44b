// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "absl/strings/str_cat.h"
#include "gnomon/memory/p2m.h"

// Changes of frames that are in use. The order is always the same: make sure that it can be done,
// tell the listeners (after which nothing can write to the old place), copy, change the map, free.

namespace gnomon {
namespace {

constexpr uint64_t kFrameBytes = bytes_of(PageSize::k4K);

absl::Status no_slot(absl::string_view verb, Gpa gpa) {
  return absl::NotFoundError(absl::StrCat(verb, ": ", to_string(gpa), " is in no slot"));
}

absl::Status wrong_state(absl::string_view verb, Gpa gpa, P2mEntry e) {
  return absl::FailedPreconditionError(
      absl::StrCat(verb, ": ", to_string(gpa), " is ", name_of(e.state())));
}

absl::Status host_full(absl::string_view verb, Gpa gpa, PageSize size) {
  return absl::ResourceExhaustedError(
      absl::StrCat(verb, ": the host has no ", name_of(size), " page free for ", to_string(gpa)));
}

}  // namespace

absl::StatusOr<P2mEntry> P2m::ram_entry(absl::string_view verb, Gpa gpa) const {
  const uint32_t i = frame_index(gpa);
  if (i == kNoIndex) return no_slot(verb, gpa);
  if (!entry(i).is_ram()) return wrong_state(verb, gpa, entry(i));
  return entry(i);
}

absl::Status P2m::remap(Gpa gpa) {
  const absl::StatusOr<P2mEntry> old = ram_entry("remap", gpa);
  if (!old.ok()) return old.status();
  PageSize size = old->size();  // of what moves
  std::optional<Hpa> to;
  if (size != PageSize::k4K) to = host_->allocate(FrameOwner::kGuestRam, size);
  if (!to) {
    size = PageSize::k4K;
    to = allocate_4k(*slot_around(gpa), gpa, old->frame().value());
  }
  if (!to) return host_full("remap", gpa, size);
  tell(gpa.page_base(old->size()), frames_of(old->size()), Change::kMoved);
  if (size != old->size()) break_up(gpa);
  const Hpa from = old->frame().page_base(size);
  for (uint64_t at = 0; at < bytes_of(size); at += kFrameBytes) {
    copy_frame(Hpa(from.value() + at), Hpa(to->value() + at));
  }
  set_page(frame_index(gpa.page_base(size)), *to, size);
  host_->free(from, size);
  return absl::OkStatus();
}

absl::Status P2m::balloon(Gpa gpa) {
  const uint32_t i = frame_index(gpa);
  if (i == kNoIndex) return no_slot("balloon", gpa);
  const P2mEntry old = entry(i);
  if (old.state() == FrameState::kBallooned) return wrong_state("balloon", gpa, old);
  if (old.is_ram() && old.size() != PageSize::k4K) {
    tell(gpa.page_base(old.size()), frames_of(old.size()), Change::kMoved);
    break_up(gpa);
  }
  tell(gpa.page_base(), 1, Change::kRemoved);
  set_entry(i, old.moved_to(FrameState::kBallooned, Hpa(), PageSize::k4K));
  if (old.is_ram()) host_->free(old.frame());
  return absl::OkStatus();
}

absl::Status P2m::deflate(Gpa gpa) {
  const uint32_t i = frame_index(gpa);
  if (i == kNoIndex) return no_slot("deflate", gpa);
  if (entry(i).state() != FrameState::kBallooned) return wrong_state("deflate", gpa, entry(i));
  set_entry(i, entry(i).moved_to(FrameState::kLazy, Hpa(), PageSize::k4K));
  return absl::OkStatus();
}

absl::Status P2m::split(Gpa gpa) {
  const absl::StatusOr<P2mEntry> e = ram_entry("split", gpa);
  if (!e.ok()) return e.status();
  if (e->size() == PageSize::k4K) return absl::OkStatus();
  const Gpa page = gpa.page_base(e->size());
  tell(page, frames_of(e->size()), Change::kMoved);
  const uint32_t first = frame_index(page);
  for (uint32_t i = first; i < first + frames_of(e->size()); ++i) {
    set_entry(i, entry(i).moved_to(FrameState::kRam, entry(i).frame(), PageSize::k4K));
  }
  return absl::OkStatus();
}

absl::Status P2m::promote(Gpa gpa) {
  const Slot* slot = slot_around(gpa);
  if (slot == nullptr) return no_slot("promote", gpa);
  const Gpa page = gpa.page_base(PageSize::k2M);
  if (!page_lies_in(*slot, page, PageSize::k2M)) {
    return absl::FailedPreconditionError(
        absl::StrCat("promote: the 2M region around ", to_string(gpa), " is not all in its slot"));
  }
  const uint32_t first = frame_index(page);
  if (entry(first).is_ram() && entry(first).size() >= PageSize::k2M) return absl::OkStatus();
  const uint32_t frames = frames_of(PageSize::k2M);
  // After `split` the region's host frames still are a block: then nothing needs to move.
  const Hpa own = entry(first).frame();
  bool in_place = own.is_aligned(PageSize::k2M);
  for (uint32_t i = 0; i < frames; ++i) {
    const P2mEntry e = entry(first + i);
    if (e.state() == FrameState::kBallooned) {
      return wrong_state("promote", Gpa::from_frame(page.frame() + i), e);
    }
    in_place = in_place && e.is_ram() && e.frame().frame() == own.frame() + i;
  }
  if (in_place) {
    tell(page, frames, Change::kMoved);
    set_page(first, own, PageSize::k2M);
    return absl::OkStatus();
  }
  const std::optional<Hpa> block = host_->allocate(FrameOwner::kGuestRam, PageSize::k2M);
  if (!block) return host_full("promote", gpa, PageSize::k2M);
  tell(page, frames, Change::kMoved);
  for (uint32_t i = 0; i < frames; ++i) {
    const P2mEntry old = entry(first + i);
    const Hpa to = Hpa::from_frame(block->frame() + i);
    if (old.is_ram()) copy_frame(old.frame(), to);
    set_entry(first + i, old.moved_to(FrameState::kRam, to, PageSize::k2M));
    if (old.is_ram()) host_->free(old.frame());
  }
  return absl::OkStatus();
}

// Makes the frame at `gpa` a 4K page, and leaves the largest pages that fit around it. The
// listeners were told.
void P2m::break_up(Gpa gpa) {
  const uint32_t at = frame_index(gpa);
  const auto change_size = [&](PageSize from, PageSize to) {
    const uint32_t first = frame_index(gpa.page_base(from));
    for (uint32_t i = first; i < first + frames_of(from); ++i) {
      set_entry(i, entry(i).moved_to(FrameState::kRam, entry(i).frame(), to));
    }
  };
  if (entry(at).size() == PageSize::k1G) change_size(PageSize::k1G, PageSize::k2M);
  if (entry(at).size() == PageSize::k2M) change_size(PageSize::k2M, PageSize::k4K);
}

// `to` is zero. Zero frames are not written: memory the guest never touched stays uncommitted.
void P2m::copy_frame(Hpa from, Hpa to) {
  const uint8_t* bytes = host_->at(from);
  const bool zero = bytes[0] == 0 && std::memcmp(bytes, bytes + 1, kFrameBytes - 1) == 0;
  if (!zero) std::memcpy(host_->at(to), bytes, kFrameBytes);
}

}  // namespace gnomon

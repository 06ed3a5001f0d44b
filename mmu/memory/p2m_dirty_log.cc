// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "gnomon/memory/p2m.h"

// The dirty log. A frame is not logged, logged and clean (its entry is write-protected), or logged
// and dirty (it is writable, and its number is in dirty_). The two bits stay in its entry whatever
// else happens to the frame, so that arming a range also arms frames which are backed later.

namespace gnomon {

template <class F>
void P2m::for_each_piece(Gpa first, uint64_t frames, F&& f) const {
  const uint64_t begin = first.frame();
  const uint64_t end = frames > ~begin ? ~uint64_t{0} : begin + frames;
  for (const Slot& s : slots_) {
    const uint64_t from = std::max(begin, s.base.frame());
    const uint64_t to = std::min(end, s.base.frame() + (s.bytes >> shift_of(PageSize::k4K)));
    if (from >= to) continue;
    f(s.first_index + static_cast<uint32_t>(from - s.base.frame()), Gpa::from_frame(from),
      static_cast<uint32_t>(to - from));
  }
}

void P2m::start_dirty_log(Gpa first, uint64_t frames) {
  logging_ = true;
  for_each_piece(first, frames, [&](uint32_t number, Gpa gpa, uint32_t count) {
    tell(gpa, count, Change::kWriteProtected);
    for (uint32_t i = number; i < number + count; ++i) set_entry(i, entry(i).with_log(true, false));
  });
  forget_clean();
}

void P2m::stop_dirty_log(Gpa first, uint64_t frames) {
  if (!logging()) return;
  for_each_piece(first, frames, [&](uint32_t number, Gpa, uint32_t count) {
    for (uint32_t i = number; i < number + count; ++i) {
      const P2mEntry e = entry(i);
      if (e.write_logged() || e.dirty()) set_entry(i, e.with_log(false, false));
    }
  });
  forget_clean();
  logging_ = any_logged();
}

bool P2m::any_logged() const {
  for (uint32_t i = 0; i < next_index_; ++i) {
    if (entry(i).write_logged() || entry(i).dirty()) return true;
  }
  return false;
}

void P2m::mark_dirty(Gpa gpa) {
  const uint32_t i = frame_index(gpa);
  if (i == kNoIndex || !entry(i).write_logged()) return;
  set_entry(i, entry(i).with_log(false, true));
  dirty_.push_back(i);
}

std::vector<Gpa> P2m::take_dirty(Gpa first, uint64_t frames) {
  std::vector<Gpa> taken;
  for_each_piece(first, frames, [&](uint32_t number, Gpa gpa, uint32_t count) {
    for (const uint32_t i : dirty_) {
      if (i - number < count) taken.push_back(Gpa::from_frame(gpa.frame() + (i - number)));
    }
  });
  std::sort(taken.begin(), taken.end());
  for (size_t i = 0; i < taken.size();) {
    size_t end = i + 1;
    while (end < taken.size() && taken[end].frame() == taken[end - 1].frame() + 1) ++end;
    tell(taken[i], end - i, Change::kWriteProtected);
    for (; i < end; ++i) {
      const uint32_t number = frame_index(taken[i]);
      set_entry(number, entry(number).with_log(true, false));
    }
  }
  forget_clean();
  return taken;
}

// Drops the numbers of frames that are not dirty any more from dirty_.
void P2m::forget_clean() {
  dirty_.erase(
      std::remove_if(dirty_.begin(), dirty_.end(), [&](uint32_t i) { return !entry(i).dirty(); }),
      dirty_.end());
}

}  // namespace gnomon

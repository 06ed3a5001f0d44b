// SPDX-License-Identifier: Apache-2.0
//
// What the host does to the guest's memory meanwhile.
#include <algorithm>

#include "absl/strings/str_format.h"
#include "tests/vcpu/random_guest.h"

namespace gnomon::vcpu_test {

void RandomGuest::change_host() {
  before_change();
  ++n_.host_changes;
  const VmGuard guard(p2m_.lock());
  uint64_t frame = kFirstData + random_.below(kDataFrames);
  if (random_.percent(30)) frame = (kBig + random_.below(kBigBytes)) >> 12;
  if (random_.percent(15)) frame = kFirstTable + random_.below(kLastTable - kFirstTable);
  const Gpa at = Gpa::from_frame(frame);
  const Gpa first = random_.percent(50) ? Gpa(0) : at;
  const uint64_t count = random_.percent(50) ? kFrames : 1 + random_.below(600);
  const uint64_t what = random_.below(12);
  note(absl::StrFormat("host change %d at %x, range %x + %x frames", what, at.value(),
                       first.value(), count));
  switch (what) {
    case 0:
    case 1: (void)p2m_.remap(at); return;
    case 2:
      if (random_.percent(50) || !p2m_.balloon(at).ok()) return;
      (void)mirror_.balloon(at);
      return changed();
    case 3:
    case 4:
      for (uint64_t f = 0; f < kRom >> 12; ++f) {
        if (p2m_.deflate(Gpa::from_frame(f)).ok()) (void)mirror_.deflate(Gpa::from_frame(f));
      }
      return changed();
    case 5: (void)p2m_.split(at); return;
    case 6:
    case 7: (void)p2m_.promote(Gpa(big_page())); return;
    case 8: backend_->drop_caches(); return;
    case 9:
      p2m_.start_dirty_log(first, count);
      for_range(first, count, [&](uint64_t f) { logged_[f] = true, written_[f] = false; });
      return;
    case 10:
      if (random_.percent(60)) return;
      p2m_.stop_dirty_log(first, count);
      for_range(first, count, [&](uint64_t f) { logged_[f] = false; });
      return;
    default: take_dirty(first, count);
  }
}

void RandomGuest::take_dirty(Gpa first, uint64_t count) {
  std::vector<bool> taken(kFrames);
  for (const Gpa gpa : p2m_.take_dirty(first, count)) taken[gpa.frame()] = true;
  for_range(first, count, [&](uint64_t f) {
    if (!logged_[f]) return;
    n_.dirty += written_[f];
    if (written_[f] && !taken[f])
      fail(absl::StrFormat("frame %x was written, but is not in the dirty log", f));
    written_[f] = false;
  });
}

}  // namespace gnomon::vcpu_test

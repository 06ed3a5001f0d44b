// SPDX-License-Identifier: Apache-2.0
// The host changes its mind about a frame. The reverse map finds every entry, whatever the guest's tables say
// now; then all vCPUs forget, before the p2m changes.
#include <algorithm>

#include "mmu/defects.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {

void ShadowMmu::before_p2m_change(Gpa first, uint64_t frames, Change change) {
  // Where something appears there was nothing to map; markers are told by the p2m's generation.
  if (change == Change::kAppeared) return;
  if (agile_ != nullptr) revoke_nested(first, frames, change == Change::kWriteProtected);
  for (uint64_t i = 0; i < frames; ++i) {
    const uint32_t frame = p2m_.frame_index(Gpa(first.value() + (i << 12)));
    if (frame == P2m::kNoIndex) continue;
    if (agile_ != nullptr && change != Change::kWriteProtected) {
      leave_nested(frame);
      forget_switches(frame);
    }
    switch (change) {
      case Change::kAppeared:
        break;
      case Change::kMoved:
        pages_.drop_mappings(frame);
        break;
      case Change::kRemoved:
        if (!defect(Defect::kUnownedFrameMapped)) pages_.drop_mappings(frame);
        // Its contents go as well, and with them the table it may have held.
        if (pages_.has_shadow(frame)) pages_.for_each_shadow(frame, [&](ShadowPage& p) { zap(p); });
        break;
      case Change::kWriteProtected:
        pages_.write_protect(frame);
        break;
    }
  }
  // Unconditional: a TLB may hold what the shadow dropped long ago.
  flush_tlbs();
  settle();
}

}  // namespace gnomon::shadow

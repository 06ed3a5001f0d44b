// SPDX-License-Identifier: Apache-2.0
//
// What the guest invalidates, and how.
#include "absl/strings/str_format.h"
#include "tests/vcpu/random_guest.h"

namespace gnomon::vcpu_test {

void RandomGuest::make_fresh(size_t i, size_t n) {
  if (!paging(i)) return;
  before_change();
  for (unsigned tries = 0;; ++tries) {
    bool global = false;
    const Path now = knows_[i].path(controls(i), model_, n);
    if (!knows_[i].stale(pcid(i), n, now, global)) return;
    if (tries == 4) return fail("the test's own guest cannot get rid of a stale entry");
    flush(i, n, tries == 3 ? 7 : random_.below(global ? 6 : 12));
  }
}

void RandomGuest::flush(size_t i, size_t n, uint64_t way) {
  ++n_.flushes;
  before_change();
  changed();  // what is there may be cached again at once
  Discipline& d = knows_[i];
  const uint16_t id = pcid(i);
  const uint64_t va = pages_[n] | random_.below(kPage);
  note(absl::StrFormat("cpu %d flush way %d page %x pcid %d", i, way, va, id));
  switch (way) {
    case 0:
    case 1:
      if (!cpu(i).invpcid(InvpcidType::kAllWithGlobals, 0, Gva(0))) fail("INVPCID 2");
      return d.flush_all();
    case 2: {
      const Controls c = controls(i);
      for (const uint64_t cr4 : {c.cr4 ^ cr4::kPGE, c.cr4}) {
        const bool flips = ((controls(i).cr4 ^ cr4) & cr4::kPGE) != 0;  // #GP may have kept it
        if (cpu(i).write_controls(c.cr0, cr4, c.efer) && flips) d.flush_all();
      }
      return;
    }
    case 3:
    case 4: {
      const uint64_t other = d.neighbour(id, n, random_.next());
      note(absl::StrFormat("  by %x", other));
      cpu(i).invlpg(Gva(other));
      return d.invlpg(id, other);
    }
    case 8:
      if (!cpu(i).invpcid(InvpcidType::kAddress, id, Gva(va))) return;
      return d.invpcid_address(id, va);
    case 9:
      if (!cpu(i).invpcid(InvpcidType::kContext, id, Gva(0))) fail("INVPCID 1");
      return d.flush_context(id);
    case 10:
      if (!cpu(i).invpcid(InvpcidType::kAll, 0, Gva(0))) fail("INVPCID 3");
      return d.flush_non_global();
    case 11: return load_cr3(i, controls(i).cr3);
    default: cpu(i).invlpg(Gva(va)); return d.invlpg(id, va);
  }
}

}  // namespace gnomon::vcpu_test

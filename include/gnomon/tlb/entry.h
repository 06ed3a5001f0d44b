// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TLB_ENTRY_H_
#define GNOMON_TLB_ENTRY_H_

#include <cstdint>

#include "gnomon/base/outcome.h"

namespace gnomon {

/// One cached translation. The addresses are those of the first byte of the page.
struct TlbEntry {
  Gva page;
  Gpa gpa;
  Hpa hpa;
  PageSize size = PageSize::k4K;
  Rights rights = 0;
  uint8_t key = 0;
  bool global : 1 = false;
  bool dirty : 1 = false;  ///< stores may use it; otherwise the next one has to walk and set the flag
  bool trapped : 1 = false;
  /// A piece of a larger page of the guest: INVLPG on any address of that page must reach it.
  bool fragment : 1 = false;
  uint16_t pcid = 0;  ///< as at the fill; a global entry serves every PCID of its machine
  uint16_t vpid = 0;

  friend bool operator==(const TlbEntry&, const TlbEntry&) = default;
};
static_assert(sizeof(TlbEntry) == 32);

/// The piece of `t` of one page of `size` (no larger than `t.size`) around `va`.
constexpr TlbEntry entry_of(const Translation& t, Gva va, PageSize size, uint16_t pcid,
                            uint16_t vpid) {
  TlbEntry e;
  e.page = va.page_base(size);
  e.gpa = t.gpa.page_base(size);
  e.hpa = t.hpa.page_base(size);
  e.size = size;
  e.rights = t.rights;
  e.key = t.key;
  e.global = t.global;
  e.dirty = t.dirty;
  e.trapped = t.trapped;
  e.fragment = t.splintered || size < t.size;
  e.pcid = pcid;
  e.vpid = vpid;
  return e;
}

/// The answer of a hit on `e` for the byte at `va`.
constexpr Translation translation_of(const TlbEntry& e, Gva va) {
  Translation t;
  t.outcome = Outcome::kTranslated;
  t.size = e.size;
  t.rights = e.rights;
  t.key = e.key;
  t.global = e.global;
  t.dirty = e.dirty;
  t.cacheable = true;
  t.trapped = e.trapped;
  t.splintered = e.fragment;
  t.gpa = e.gpa.with_offset(e.size, va.value());
  t.hpa = e.hpa.with_offset(e.size, va.value());
  return t;
}

}  // namespace gnomon

#endif  // GNOMON_TLB_ENTRY_H_

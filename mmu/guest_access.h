// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_GUEST_ACCESS_H_
#define MMU_GUEST_ACCESS_H_

#include "gnomon/backend.h"
#include "gnomon/memory/bytes.h"
#include "gnomon/x86/guest_walk.h"

// What every backend does in the same way: end a successful guest walk at the data page, and carry out
// the guest's loads and stores on guest-physical memory.

namespace gnomon {

/// The largest size that TLBs have an entry for within both pages (a 4M guest page is cached as 2M).
constexpr PageSize cacheable_size(PageSize guest, PageSize host) {
  const PageSize size = smaller(guest, host);
  return size == PageSize::k4M ? PageSize::k2M : size == PageSize::k512G ? PageSize::k1G : size;
}

/// The host page that a TLB may keep around an address: as it is, unless the host wants to see first writes
/// to parts of it.
inline P2mEntry cacheable_page(const P2m& p2m, P2mEntry e) { return p2m.logging() ? e.as_4k() : e; }

/// The end of an access whose guest walk succeeded at `w`, given what the p2m says about the page (after
/// make_usable): rights as the hardware would cache them.
inline Translation end_of_walk(const Walk<Gpa>& w, P2mEntry e, bool write, Rights guest_rights) {
  Translation t;
  t.gpa = w.address;
  t.level = 0;
  if (!e.is_ram()) {
    t.cause = cause_of(e.state());
    t.outcome = t.cause == HostCause::kNone ? Outcome::kNotBacked : Outcome::kHostViolation;
    return t;
  }
  if (write && e.rom()) {
    t.outcome = Outcome::kHostViolation;
    t.cause = HostCause::kReadOnly;
    return t;
  }
  t.outcome = Outcome::kTranslated;
  t.hpa = e.frame().with_offset(PageSize::k4K, w.address.value());
  t.size = cacheable_size(w.size, e.size());
  t.splintered = t.size < w.size;
  t.rights = guest_rights;
  t.dirty = w.dirty && e.writable();
  t.key = w.key;
  t.global = w.global;
  t.cacheable = true;
  return t;
}

/// The answer to a probe whose guest walk succeeded at `w`. A page that has no host frame yet is
/// "translated" to no particular frame (hpa 0).
inline Translation end_of_probe(const P2m& p2m, const Walk<Gpa>& w, bool write) {
  const P2mEntry e = p2m.lookup(w.address);
  if (e.state() == FrameState::kLazy) {
    Translation t;
    t.gpa = w.address;
    if (write && e.rom()) {
      t.outcome = Outcome::kHostViolation;
      t.cause = HostCause::kReadOnly;
      return t;
    }
    t.outcome = Outcome::kTranslated;
    t.size = PageSize::k4K;
    t.rights = w.rights;
    t.key = w.key;
    t.global = w.global;
    return t;
  }
  Translation t = end_of_walk(w, e, write, w.rights);
  t.cacheable = false;
  return t;
}

/// The answer to a probe: what the guest's tables and the p2m say, with nothing changed.
inline Translation probe_guest(P2m& p2m, VcpuState& cpu, Gva va, Access access) {
  GuestTables tables(p2m, cpu, access, GuestTables::Count::kNo, GuestTables::Lock::kHeld);
  const Walk<Gpa> w = walk_guest(tables, cpu.controls, cpu.rules, va, access);
  if (w.status == WalkStatus::kFault) return guest_fault(w);
  if (w.status == WalkStatus::kNoMemory) return tables.failure(w.level);
  return end_of_probe(p2m, w, access.write());
}

/// The end of an access to an address that the guest cannot use in its mode: the guest's own fault, without an exit.
inline Translation non_canonical(VcpuState& cpu) {
  ++cpu.counters[Counter::kGuestFaults];
  Translation t;
  t.outcome = Outcome::kGuestFault;
  t.error_code = pf::kNonCanonical;
  return t;
}

/// Is a store of `size` bytes at `at` within one page, of a legal size?
constexpr bool store_is_legal(Gpa at, unsigned size) {
  return size >= 1 && size <= 8 && at.offset_in(PageSize::k4K) + size <= bytes_of(PageSize::k4K);
}

/// As store_bytes, but memory that the system has not delivered yet stays so: a zero is not stored where a zero is.
inline void store_sparing(uint8_t* to, uint64_t value, unsigned size) {
  if (value == 0 && load_bytes(to, size) == 0) return;
  store_bytes(to, value, size);
}

/// A guest store to guest-physical memory that nothing tracks. The VM's lock is held. Clearing a page that has never
/// been used backs it, as any store does, but takes no memory.
inline StoreResult store_untracked(P2m& p2m, Gpa at, uint64_t value, unsigned size,
                                   Counters& counters) {
  if (!store_is_legal(at, size)) return StoreResult::kNotBacked;
  const P2mEntry e = make_usable(p2m, at, /*write=*/true, counters);
  if (!e.is_ram()) return StoreResult::kNotBacked;
  if (e.rom()) return StoreResult::kReadOnly;
  store_sparing(p2m.host().at<uint8_t>(e.frame().with_offset(PageSize::k4K, at.value())), value, size);
  return StoreResult::kDone;
}

inline bool load_untracked(P2m& p2m, Gpa at, unsigned size, uint64_t& value, Counters& counters) {
  if (!store_is_legal(at, size)) return false;
  const P2mEntry e = make_usable(p2m, at, /*write=*/false, counters);
  if (!e.is_ram()) return false;
  value = load_bytes(p2m.host().at<uint8_t>(e.frame().with_offset(PageSize::k4K, at.value())), size);
  return true;
}

}  // namespace gnomon

#endif  // MMU_GUEST_ACCESS_H_

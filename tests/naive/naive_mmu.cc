// SPDX-License-Identifier: Apache-2.0
#include "tests/naive/naive_mmu.h"

#include "absl/strings/str_cat.h"

namespace gnomon {
namespace {

constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }
constexpr bool has(uint64_t value, unsigned n) { return (value >> n & 1) != 0; }
/// Bits last..first of `value`, in place.
constexpr uint64_t bits(uint64_t value, unsigned last, unsigned first) {
  return value << (63 - last) >> (63 - last) >> first << first;
}
constexpr bool any(uint64_t value, unsigned last, unsigned first) {
  return first <= last && bits(value, last, first) != 0;
}

// The walk of one access, step by step, in the words of the manual.
class GuestWalk {
 public:
  GuestWalk(const P2m& p2m, const Controls& c, const CpuModel& cpu, Gva va, Access access, bool commit)
      : p2m_(p2m), c_(c), cpu_(cpu), va_(va.value()), access_(access), commit_(commit) {}

  NaiveResult run();

 private:
  // 4.1.1: which of the modes is in use.
  bool paging() const { return has(c_.cr0, 31); }
  bool entries_are_64_bit() const { return has(c_.cr4, 5); }
  bool long_mode() const { return entries_are_64_bit() && has(c_.efer, 10); }
  bool pae_paging() const { return entries_are_64_bit() && !long_mode(); }
  unsigned top_level() const {
    if (!entries_are_64_bit()) return 2;
    if (!long_mode()) return 3;
    return has(c_.cr4, 12) ? 5 : 4;
  }
  bool nxe() const { return entries_are_64_bit() && has(c_.efer, 11); }

  bool address_fits() const;
  bool read_entry(Gpa at, unsigned level, uint64_t& entry);
  bool maps_page(uint64_t entry, unsigned level) const;
  bool reserved_bit_set(uint64_t entry, unsigned level, bool leaf) const;
  bool access_allowed() const;
  bool key_forbids() const;
  bool set_flags(Gpa at, unsigned level, uint64_t flags);
  bool has_accessed_flag(unsigned level) const { return !(pae_paging() && level == 3); }
  uint64_t page_address(uint64_t entry, unsigned level);
  void finish(Gpa page_byte);

  uint32_t error_bits() const;
  void guest_fault(unsigned level, uint32_t error) {
    r_.outcome = Outcome::kGuestFault;
    r_.level = static_cast<uint8_t>(level);
    r_.error_code = error;
  }
  void host_stop(Outcome outcome, HostCause cause, unsigned level, Gpa at) {
    r_.outcome = outcome;
    r_.cause = cause;
    r_.level = static_cast<uint8_t>(level);
    r_.gpa = at;
  }
  bool usable(P2mEntry e, unsigned level, Gpa at);

  const P2m& p2m_;
  const Controls& c_;
  const CpuModel& cpu_;
  const uint64_t va_;
  const Access access_;
  const bool commit_;
  bool user_ = true, writable_ = true, executable_ = true;
  NaiveResult r_;
};

// 3.3.7.1 (canonical addresses); without long mode a linear address has 32 bits.
bool GuestWalk::address_fits() const {
  if (!paging() || !long_mode()) return va_ >> 32 == 0;
  const unsigned width = has(c_.cr4, 12) ? 57 : 48;
  const uint64_t upper = va_ >> (width - 1);
  return upper == 0 || upper == ~uint64_t{0} >> (width - 1);
}

bool GuestWalk::usable(P2mEntry e, unsigned level, Gpa at) {
  switch (e.state()) {
    case FrameState::kRam:
    case FrameState::kLazy:
      return true;
    case FrameState::kAbsent:
      host_stop(Outcome::kNotBacked, HostCause::kNone, level, at);
      return false;
    case FrameState::kMmio:
      host_stop(Outcome::kHostViolation, HostCause::kMmio, level, at);
      return false;
    case FrameState::kBallooned:
      host_stop(Outcome::kHostViolation, HostCause::kBallooned, level, at);
      return false;
  }
  return false;
}

bool GuestWalk::read_entry(Gpa at, unsigned level, uint64_t& entry) {
  if (!usable(p2m_.lookup(at), level, at)) return false;
  entry = 0;
  const uint8_t* bytes = p2m_.ram_at(at);
  if (bytes == nullptr) return true;
  const unsigned size = entries_are_64_bit() ? 8 : 4;
  for (unsigned i = 0; i < size; ++i) entry |= uint64_t{bytes[i]} << (8 * i);
  // A table that refers to itself shows the flags set so far, committed or not.
  for (unsigned i = 0; i < r_.update_count; ++i) {
    if (r_.updates[i].at == at) entry = r_.updates[i].after;
  }
  return true;
}

// 4.3 to 4.5: bit 7 makes a page of a PDE (with CR4.PSE where entries have 32 bits) and of a PDPTE of
// 4-level and 5-level paging.
bool GuestWalk::maps_page(uint64_t entry, unsigned level) const {
  if (level == 1) return true;
  if (!has(entry, 7)) return false;
  if (level == 2) return entries_are_64_bit() || has(c_.cr4, 4);
  return level == 3 && long_mode();
}

// The rows "Reserved (must be 0)" of tables 4-4 to 4-20, one by one.
bool GuestWalk::reserved_bit_set(uint64_t entry, unsigned level, bool leaf) const {
  const unsigned maxphyaddr = cpu_.maxphyaddr;
  if (!entries_are_64_bit()) {
    if (!leaf || level == 1) return false;
    // Table 4-4: bits 21:(M-19), M being the lesser of 40 and MAXPHYADDR; all nine without PSE-36.
    unsigned m = maxphyaddr < 40 ? maxphyaddr : 40;
    if (!cpu_.pse36) m = 32;
    return any(entry, 21, m - 19);
  }
  if (pae_paging() && level == 3) {
    return any(entry, 2, 1) || any(entry, 8, 5) || any(entry, 63, maxphyaddr);
  }
  if (has(entry, 63) && !nxe()) return true;
  // PAE paging reserves everything from MAXPHYADDR to 62; long mode ignores 62:52.
  if (any(entry, pae_paging() ? 62 : 51, maxphyaddr)) return true;
  if (level >= 4) return has(entry, 7);
  if (level == 3 && leaf) return any(entry, 29, 13) || !cpu_.gb_pages;
  if (level == 2 && leaf) return any(entry, 20, 13);
  return false;
}

// 4.6.1 Determination of Access Rights.
bool GuestWalk::access_allowed() const {
  const bool wp = has(c_.cr0, 16);
  const bool smep = has(c_.cr4, 20);
  const bool smap = has(c_.cr4, 21);
  if (access_.by() == Privilege::kUser) {
    // User-mode accesses: only to user-mode addresses.
    switch (access_.op()) {
      case AccessOp::kRead: return user_;
      case AccessOp::kWrite: return user_ && writable_;
      case AccessOp::kFetch: return user_ && (!nxe() || executable_);
    }
  }
  if (access_.op() == AccessOp::kFetch) {
    if (user_ && smep) return false;
    return !nxe() || executable_;
  }
  // Supervisor-mode data accesses. To user-mode addresses with SMAP: explicit ones with AC only.
  if (user_ && smap) {
    const bool explicit_access = access_.by() == Privilege::kSupervisor;
    if (!explicit_access || !c_.ac) return false;
  }
  return access_.op() == AccessOp::kRead || writable_ || !wp;
}

// 4.6.2 Protection Keys (and 4.7, PK flag, which has the same conditions).
bool GuestWalk::key_forbids() const {
  if (!long_mode() || !has(c_.cr4, 22)) return false;
  if (access_.op() == AccessOp::kFetch || !user_) return false;
  const bool access_disable = has(c_.pkru, 2u * r_.key);
  const bool write_disable = has(c_.pkru, 2u * r_.key + 1);
  if (access_disable) return true;
  if (!write_disable || access_.op() != AccessOp::kWrite) return false;
  return access_.by() == Privilege::kUser || has(c_.cr0, 16);
}

// 4.7 Page-Fault Exceptions: the flags that depend on the access alone.
uint32_t GuestWalk::error_bits() const {
  uint32_t error = 0;
  if (access_.op() == AccessOp::kWrite) error |= 1u << 1;
  if (access_.by() == Privilege::kUser) error |= 1u << 2;
  if (access_.op() == AccessOp::kFetch && (has(c_.cr4, 20) || nxe())) error |= 1u << 4;
  return error;
}

bool GuestWalk::set_flags(Gpa at, unsigned level, uint64_t flags) {
  uint64_t before = 0;
  if (!read_entry(at, level, before)) return false;
  if ((before & flags) == flags) return true;
  const P2mEntry e = p2m_.lookup(at);
  if (e.rom()) {
    host_stop(Outcome::kHostViolation, HostCause::kReadOnly, level, at);
    return false;
  }
  const uint64_t after = before | flags;
  r_.updates[r_.update_count++] = {at, before, after, static_cast<uint8_t>(level)};
  // The flags are bits 5 and 6: byte 0 of the entry.
  if (commit_) *p2m_.ram_at(at) = static_cast<uint8_t>(after);
  return true;
}

uint64_t GuestWalk::page_address(uint64_t entry, unsigned level) {
  if (!entries_are_64_bit()) {
    if (level == 1) {
      r_.guest_size = PageSize::k4K;
      return bits(entry, 31, 12) + bits(va_, 11, 0);
    }
    r_.guest_size = PageSize::k4M;
    return (bits(entry, 20, 13) >> 13 << 32) + bits(entry, 31, 22) + bits(va_, 21, 0);
  }
  const unsigned offset_bits = level == 1 ? 12 : level == 2 ? 21 : 30;
  r_.guest_size = static_cast<PageSize>(offset_bits);
  return bits(entry, 51, offset_bits) + bits(va_, offset_bits - 1, 0);
}

void GuestWalk::finish(Gpa page_byte) {
  const P2mEntry e = p2m_.lookup(page_byte);
  if (!usable(e, 0, page_byte)) return;
  r_.gpa = page_byte;
  if (access_.op() == AccessOp::kWrite && e.rom()) {
    host_stop(Outcome::kHostViolation, HostCause::kReadOnly, 0, page_byte);
    return;
  }
  if (e.is_ram()) r_.hpa = Hpa(e.frame().value() + bits(page_byte.value(), 11, 0));
}

NaiveResult GuestWalk::run() {
  if (!address_fits()) {
    guest_fault(0, pf::kNonCanonical);
    return r_;
  }
  if (!paging()) {
    r_.rights = kAllRights;
    r_.dirty = true;
    finish(Gpa(va_));
    return r_;
  }

  unsigned level = top_level();
  uint64_t table = 0;
  if (!entries_are_64_bit()) {
    table = bits(c_.cr3, 31, 12);
  } else if (long_mode()) {
    table = bits(c_.cr3, 51, 12);
  } else if (cpu_.pdptes_in_memory) {
    table = bits(c_.cr3, 31, 5);
  } else {
    // 4.4.1: the PDPTE registers, checked for reserved bits when they were loaded.
    const uint64_t pdpte = c_.pdpte[va_ >> 30];
    if (!has(pdpte, 0)) {
      guest_fault(3, error_bits());
      return r_;
    }
    table = bits(pdpte, 51, 12);
    level = 2;
  }

  const unsigned index_bits = entries_are_64_bit() ? 9 : 10;
  const unsigned entry_bytes = entries_are_64_bit() ? 8 : 4;
  std::array<Gpa, 6> entry_at;
  const unsigned first_level = level;
  uint64_t entry = 0;
  for (;; --level) {
    const unsigned low = 12 + index_bits * (level - 1);
    uint64_t index = va_ >> low;
    index %= uint64_t{1} << index_bits;
    entry_at[level] = Gpa(table + index * entry_bytes);
    if (!read_entry(entry_at[level], level, entry)) return r_;

    if (!has(entry, 0)) {
      guest_fault(level, error_bits());
      return r_;
    }
    const bool leaf = maps_page(entry, level);
    if (reserved_bit_set(entry, level, leaf)) {
      guest_fault(level, error_bits() | 1u << 0 | 1u << 3);
      return r_;
    }
    if (!(pae_paging() && level == 3)) {
      writable_ = writable_ && has(entry, 1);
      user_ = user_ && has(entry, 2);
      executable_ = executable_ && !(entries_are_64_bit() && has(entry, 63));
    }
    if (leaf) break;
    if (cpu_.accessed_before_fault && has_accessed_flag(level) &&
        !set_flags(entry_at[level], level, bit(5))) {
      return r_;
    }
    table = bits(entry, entries_are_64_bit() ? 51 : 31, 12);
  }

  if (long_mode()) r_.key = static_cast<uint8_t>(bits(entry, 62, 59) >> 59);
  const bool key_fault = key_forbids();
  if (!access_allowed() || key_fault) {
    guest_fault(level, error_bits() | 1u << 0 | (key_fault ? 1u << 5 : 0));
    return r_;
  }

  // 4.8 Accessed and Dirty Flags.
  for (unsigned l = first_level; l > level; --l) {
    if (has_accessed_flag(l) && !set_flags(entry_at[l], l, bit(5))) return r_;
  }
  const uint64_t leaf_flags = access_.op() == AccessOp::kWrite ? bit(5) | bit(6) : bit(5);
  if (!set_flags(entry_at[level], level, leaf_flags)) return r_;

  r_.leaf_level = static_cast<uint8_t>(level);
  r_.rights = static_cast<Rights>((writable_ ? kRightWrite : 0) | (user_ ? kRightUser : 0) |
                                  (executable_ ? kRightExec : 0));
  r_.global = has(c_.cr4, 7) && has(entry, 8);
  uint64_t final_entry = 0;
  read_entry(entry_at[level], level, final_entry);
  r_.dirty = has(final_entry, 6);
  finish(Gpa(page_address(entry, level)));
  return r_;
}

}  // namespace

NaiveResult NaiveMmu::translate(const Controls& controls, const CpuModel& cpu, Gva va,
                                Access access, bool commit) const {
  return GuestWalk(p2m_, controls, cpu, va, access, commit).run();
}

std::string difference(const NaiveResult& expected, const Translation& got, const P2m& p2m) {
  const auto differ = [&](absl::string_view what) {
    return absl::StrCat(std::string(what), ": expected ", to_string(expected), ", got ",
                        to_string(got));
  };
  if (got.outcome == Outcome::kHostViolation && got.cause == HostCause::kNoMemory) return {};
  if (got.outcome != expected.outcome) return differ("outcome");
  if (got.cause != expected.cause) return differ("cause");
  if (got.level != expected.level && expected.outcome != Outcome::kTranslated) {
    return differ("level");
  }
  if (got.error_code != expected.error_code) return differ("error code");
  if (expected.outcome == Outcome::kGuestFault) return {};
  if (got.gpa != expected.gpa) return differ("gpa");
  if (expected.outcome != Outcome::kTranslated) return {};
  const P2mEntry e = p2m.lookup(expected.gpa);
  if (!e.is_ram() || got.hpa != e.frame().with_offset(PageSize::k4K, expected.gpa.value())) {
    return differ("hpa");
  }
  return {};
}

std::string to_string(const NaiveResult& r) {
  Translation t;
  t.outcome = r.outcome;
  t.cause = r.cause;
  t.level = r.level;
  t.error_code = r.error_code;
  t.gpa = r.gpa;
  t.hpa = r.hpa.value_or(Hpa());
  t.rights = r.rights;
  t.key = r.key;
  t.size = r.guest_size;
  return to_string(t);
}

}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_X86_GUEST_WALK_H_
#define GNOMON_X86_GUEST_WALK_H_

#include <atomic>
#include <mutex>

#include "gnomon/memory/p2m.h"
#include "gnomon/vcpu_state.h"
#include "gnomon/x86/format_legacy32.h"
#include "gnomon/x86/format_long.h"
#include "gnomon/x86/format_pae.h"
#include "gnomon/x86/walker.h"

namespace gnomon {

/// A compare-exchange and a load on an entry in host memory, whatever its width.
template <class Entry>
inline uint64_t load_entry(const uint8_t* at) {
  return std::atomic_ref<Entry>(*reinterpret_cast<Entry*>(const_cast<uint8_t*>(at)))
      .load(std::memory_order_acquire);
}
template <class Entry>
inline bool exchange_entry(uint8_t* at, uint64_t expected, uint64_t desired) {
  auto old = static_cast<Entry>(expected);
  return std::atomic_ref<Entry>(*reinterpret_cast<Entry*>(at))
      .compare_exchange_strong(old, static_cast<Entry>(desired));
}

/// Table memory of a guest whose tables are read straight through the p2m: the native processor, and the
/// software walk of a shadow pager (which counts nothing: it is not the hardware's walk).
class GuestTables {
 public:
  using Address = Gpa;
  using Ref = uint8_t*;
  enum class Count : uint8_t { kNo, kYes };
  enum class Lock : uint8_t { kTake, kHeld };  ///< is the VM's lock held already?

  GuestTables(P2m& p2m, VcpuState& cpu, Access access, Count count, Lock lock)
      : p2m_(p2m), cpu_(cpu), probe_(access.probe()), count_(count == Count::kYes && !access.probe()),
        locked_(lock == Lock::kHeld) {}

  template <class Entry>
  bool read(Gpa at, unsigned level, Ref& ref, uint64_t& value) {
    if (!fetch<Entry>(at, ref, value)) return false;
    if (count_) {
      ++cpu_.counters.at_level(Counter::kWalkGuestL1, level);
      if (cpu_.observed()) [[unlikely]] note(at, level, ref, value);
    }
    return true;
  }

  bool prepare_write(Ref&, Gpa at, unsigned) {
    const P2mEntry e = p2m_.lookup(at);
    if (e.writable()) [[likely]] return true;
    return prepare_protected(at, e);
  }

  template <class Entry>
  static bool exchange(Ref& ref, uint64_t expected, uint64_t desired) {
    return exchange_entry<Entry>(ref, expected, desired);
  }

  /// Why `read` or `prepare_write` refused, as the outcome of the access.
  Translation failure(unsigned level) const {
    Translation t;
    t.outcome = failure_ == HostCause::kNone ? Outcome::kNotBacked : Outcome::kHostViolation;
    t.cause = failure_;
    t.level = static_cast<uint8_t>(level);
    t.gpa = failed_at_;
    return t;
  }

 protected:
  template <class Entry>
  [[gnu::always_inline]] bool fetch(Gpa at, Ref& ref, uint64_t& value) {
    const P2mEntry e = p2m_.lookup(at);
    if (e.is_ram()) [[likely]] {
      ref = p2m_.host().at<uint8_t>(e.frame().with_offset(PageSize::k4K, at.value()));
    } else if (!read_unbacked(at, ref)) {
      return false;
    }
    value = load_entry<Entry>(ref);
    return true;
  }
  void note(Gpa at, unsigned level, const uint8_t* entry, uint64_t value) const;

  P2m& p2m_;
  VcpuState& cpu_;

 private:
  bool read_unbacked(Gpa at, Ref& ref);
  bool prepare_protected(Gpa at, P2mEntry e);

  bool probe_, count_, locked_;
  HostCause failure_ = HostCause::kNone;
  Gpa failed_at_;
};

/// The processor's own walk, which is always counted, and known at its start to be observed or not.
template <bool kObserved>
class ProcessorTables : public GuestTables {
 public:
  ProcessorTables(P2m& p2m, VcpuState& cpu, Access access, Lock lock)
      : GuestTables(p2m, cpu, access, Count::kYes, lock) {}

  template <class Entry>
  bool read(Gpa at, unsigned level, Ref& ref, uint64_t& value) {
    if (!fetch<Entry>(at, ref, value)) [[unlikely]] return false;
    ++cpu_.counters.at_level(Counter::kWalkGuestL1, level);
    if constexpr (kObserved) note(at, level, ref, value);
    return true;
  }
};

/// How a guest-physical address that cannot be used as RAM ends, by its p2m state.
HostCause cause_of(FrameState state);

/// Gives `gpa` a host frame if it has none and marks it dirty before a write, as the VMM does when an
/// access ends there. The lock must be held. The entry returned is what the p2m says afterwards.
P2mEntry make_usable(P2m& p2m, Gpa gpa, bool write, Counters& counters);

/// Runs `f(Format{}, start)` with the format and root of the mode that `cpu` is in; `none(fault)` when
/// there is no table to start at: paging off, a non-canonical address, or an absent PDPTE.
template <class F, class None>
inline auto with_guest_format(const Controls& c, const PagingRules& rules, Gva va, Access access,
                              F&& f, None&& none) {
  const auto fault = [&](unsigned level, uint32_t error) {
    Walk<Gpa> w;
    w.status = WalkStatus::kFault;
    w.level = static_cast<uint8_t>(level);
    w.error_code = error;
    return w;
  };
  switch (rules.mode) {
    case PagingMode::kLevel4:
      if (!Long4::canonical(va)) break;
      return f(Long4{}, WalkStart<Gpa>{4, Gpa(c.cr3 & pte::kFrameMask)});
    case PagingMode::kLevel5:
      if (!Long5::canonical(va)) break;
      return f(Long5{}, WalkStart<Gpa>{5, Gpa(c.cr3 & pte::kFrameMask)});
    case PagingMode::kPae: {
      if (!PaeFormat::canonical(va)) break;
      if (rules.pdptes_in_memory) return f(PaeFormat{}, WalkStart<Gpa>{3, Gpa(c.cr3 & 0xffff'ffe0)});
      const uint64_t pdpte = c.pdpte[PaeFormat::index(va, 3)];
      if (!PaeFormat::present(pdpte)) return none(fault(3, rules.error_base[access.kind()]));
      return f(PaeFormat{}, WalkStart<Gpa>{2, Gpa(PaeFormat::table_base(pdpte))});
    }
    case PagingMode::kLegacy32:
      if (!Legacy32Format::canonical(va)) break;
      return f(Legacy32Format{}, WalkStart<Gpa>{2, Gpa(c.cr3 & 0xffff'f000)});
    case PagingMode::kOff: {
      if (va.value() >> 32 != 0) break;
      Walk<Gpa> w;
      w.size = PageSize::k1G;
      w.dirty = true;
      w.address = Gpa(va.value());
      return none(w);
    }
  }
  return none(fault(0, pf::kNonCanonical));
}

/// The guest's own walk over its own tables.
inline Walk<Gpa> walk_guest(GuestTables& tables, const Controls& c, const PagingRules& rules, Gva va,
                            Access access) {
  return with_guest_format(
      c, rules, va, access,
      [&](auto format, WalkStart<Gpa> start) {
        return walk<decltype(format)>(tables, start, va, access, rules);
      },
      [](const Walk<Gpa>& w) { return w; });
}

/// A failed walk as the outcome of the access.
inline Translation guest_fault(const Walk<Gpa>& w) {
  Translation t;
  t.outcome = Outcome::kGuestFault;
  t.level = w.level;
  t.error_code = w.error_code;
  return t;
}

/// Loads the four PDPTE registers from the table that CR3 names, as MOV to CR3 does in PAE paging.
/// False (registers unchanged) when the table is not in RAM or a present PDPTE has reserved bits set:
/// the processor raises #GP then (SDM vol. 3, 4.4.1).
bool load_pdptes(P2m& p2m, Controls& controls, const PagingRules& rules);

}  // namespace gnomon

#endif  // GNOMON_X86_GUEST_WALK_H_

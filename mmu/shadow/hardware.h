// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_SHADOW_HARDWARE_H_
#define MMU_SHADOW_HARDWARE_H_

#include "gnomon/tlb/walk_caches.h"
#include "gnomon/x86/guest_walk.h"
#include "mmu/shadow/spte.h"

// The processor that runs a guest on shadow tables: how it walks them, and under which rules.

namespace gnomon::shadow {

/// Table memory of that processor: host frames of the VMM's own. `kObserved`: VcpuState::observed(), asked
/// once a walk.
template <bool kObserved>
class ShadowTables {
 public:
  using Address = Hpa;
  using Ref = uint8_t*;

  ShadowTables(const HostMemory& host, VcpuState& cpu) : host_(host), cpu_(cpu) {}

  template <class Entry>
  bool read(Hpa at, unsigned level, Ref& ref, uint64_t& value) {
    ref = host_.at<uint8_t>(at);
    value = load_entry<Entry>(ref);
    ++cpu_.counters.at_level(Counter::kWalkShadowL1, level);
    if constexpr (kObserved) note(at, level, value);
    return true;
  }
  static bool prepare_write(Ref&, Hpa, unsigned) { return true; }
  template <class Entry>
  static bool exchange(Ref& ref, uint64_t expected, uint64_t desired) {
    return exchange_entry<Entry>(ref, expected, desired);
  }

 private:
  void note(Hpa at, unsigned level, uint64_t value) const {
    const auto l = static_cast<uint8_t>(level);
    note_reference(cpu_, {WalkReference::Dimension::kShadow, l, l, at.value(), value}, at);
  }

  const HostMemory& host_;
  VcpuState& cpu_;
};

/// Levels of the tables that shadow a guest in `mode`: 32-bit, PAE and unpaged guests get four as well.
constexpr unsigned shadow_levels(PagingMode mode) { return mode == PagingMode::kLevel5 ? 5 : 4; }

/// The rules that the processor under a guest follows: 64-bit paging with write protection and XD always on,
/// and those guest features that it can enforce on the entries as they are.
PagingRules host_rules_for(const PagingRules& guest);

/// Can the guest use this address at all in its mode? (#GP otherwise, not #PF.)
constexpr bool addressable(PagingMode mode, Gva va) {
  switch (mode) {
    case PagingMode::kLevel4: return Long4::canonical(va);
    case PagingMode::kLevel5: return Long5::canonical(va);
    default: return va.value() >> 32 == 0;
  }
}

/// The VMM's walk of the guest's tables under shadow paging: PDPTEs of PAE paging are the registers, since the
/// processor under the guest never reads the guest's.
inline Walk<Gpa> walk_guest_with_registers(GuestTables& tables, const VcpuState& cpu, Gva va,
                                           Access access) {
  if (!cpu.rules.pdptes_in_memory) [[likely]] {
    return walk_guest(tables, cpu.controls, cpu.rules, va, access);
  }
  PagingRules rules = cpu.rules;
  rules.pdptes_in_memory = false;
  return walk_guest(tables, cpu.controls, rules, va, access);
}

template <bool kObserved>
inline Walk<Hpa> walk_shadow_with(const HostMemory& host, VcpuState& cpu,
                                  const PagingRules& host_rules, Hpa root, Gva va, Access access) {
  const auto with = [&](auto format) {
    using Format = decltype(format);
    ShadowTables<kObserved> tables(host, cpu);
    ++cpu.counters[Counter::kWalks];
    const WalkStart<Hpa> start{Format::kLevels, root};
    // A flush that waits for this vCPU's next access may be about what the caches hold.
    WalkCaches* caches = cpu.gate.flush_request.load(std::memory_order_relaxed) ? nullptr : cpu.caches;
    return cached_walk<Format>(caches, tables, start, va, pcid_of(cpu.controls), access, host_rules);
  };
  return shadow_levels(cpu.rules.mode) == 5 ? with(Long5{}) : with(Long4{});
}
/// The same, told of to the log and the caches; not expanded at each call.
Walk<Hpa> walk_shadow_observed(const HostMemory& host, VcpuState& cpu, const PagingRules& host_rules,
                               Hpa root, Gva va, Access access);

/// Walks the tables at `root` (Hpa(): none, a fault), from where the processor's paging-structure caches
/// allow.
inline Walk<Hpa> walk_shadow(const HostMemory& host, VcpuState& cpu, const PagingRules& host_rules,
                             Hpa root, Gva va, Access access) {
  if (root == Hpa()) [[unlikely]] {
    Walk<Hpa> w;
    w.status = WalkStatus::kFault;
    return w;
  }
  if (cpu.observed()) [[unlikely]] {
    return walk_shadow_observed(host, cpu, host_rules, root, va, access);
  }
  return walk_shadow_with<false>(host, cpu, host_rules, root, va, access);
}

/// What the VMM recorded about a leaf entry when it made it.
struct Origin {
  Gpa gpa;                  ///< the guest-physical address that the byte accessed has
  bool splintered = false;  ///< the entry is a piece of a larger guest page
};

/// A walk that the shadow allowed, as the outcome of the access.
inline Translation translated(const Walk<Hpa>& w, const Origin& origin) {
  Translation t;
  t.outcome = Outcome::kTranslated;
  t.hpa = w.address;
  t.gpa = origin.gpa;
  t.splintered = origin.splintered;
  t.size = w.size;
  t.rights = w.rights;
  t.key = w.key;
  t.global = w.global;
  t.dirty = w.dirty && (w.rights & kRightWrite) != 0;
  t.cacheable = true;
  return t;
}

/// The largest page, by level, that one entry may map around `w.address`: no larger than the guest's and the host's,
/// and without a dirty-logged frame in it, for whose sake stores to the whole page would have to fault.
unsigned largest_leaf(const P2m& p2m, const Walk<Gpa>& w, P2mEntry e);

/// What the leaf may grant for a guest walk that succeeded.
struct Grant {
  Rights rights;
  bool emulate;  ///< no entry can grant exactly this access: the VMM completes it
};

// The leaf carries all rights; links grant everything. Two things the guest allows cannot be said plainly in
// an entry that the processor reads with CR0.WP = 1:
//   - a store to a clean page is let through only after its dirty flag was set: no write right until then
//     (`see_next_store`; false with lazy flags);
//   - with CR0.WP = 0 the supervisor may write read-only pages. A supervisor page simply becomes
//     writable. A user page becomes a writable supervisor page ("flip") until a user access flips
//     it back; SMEP then needs XD, since the page no longer looks like a user page. SMAP and
//     protection keys could not be told from the flipped entry, so with those the VMM completes each
//     such store itself.
Grant effective_rights(const PagingRules& guest, const Walk<Gpa>& w, Access access,
                       bool see_next_store);

}  // namespace gnomon::shadow

#endif  // MMU_SHADOW_HARDWARE_H_

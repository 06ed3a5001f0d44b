// SPDX-License-Identifier: Apache-2.0
// The life of a page fault under shadow paging.
//
//   hardware walk of the shadow ── allowed ──────────────────────────────► translated
//          │ not allowed: exit
//          ├─ a marker of ours ──────────────────────────────────────────► MMIO
//          ▼
//   walk of the guest's tables ── the guest does not allow it ───────────► reflected fault
//          │ allowed (A and D are set now)
//          ├─ no ordinary host frame there ──────────────────────────────► host violation
//          ├─ store to a tracked table that stays tracked ───────────────► trapped: write_physical
//          ├─ no entry can grant exactly this ───────────────────────────► emulated
//          └─ entry written ── hardware walk again ──────────────────────► hidden fault
#include "mmu/guest_access.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {
namespace {

/// Table memory of the processor that walks shadow tables: host frames of our own.
class ShadowTables {
 public:
  using Address = Hpa;
  using Ref = uint8_t*;

  ShadowTables(HostMemory& host, VcpuState& cpu) : host_(host), cpu_(cpu) {}

  template <class Entry>
  bool read(Hpa at, unsigned level, Ref& ref, uint64_t& value) {
    ref = host_.at<uint8_t>(at);
    value = load_entry<Entry>(ref);
    ++cpu_.counters.at_level(Counter::kWalkShadowL1, level);
    if (cpu_.log != nullptr) [[unlikely]] {
      cpu_.log->push_back({WalkReference::Dimension::kShadow, static_cast<uint8_t>(level),
                           static_cast<uint8_t>(level), at.value(), value});
    }
    return true;
  }
  bool prepare_write(Ref&, Hpa, unsigned) { return true; }
  template <class Entry>
  static bool exchange(Ref& ref, uint64_t expected, uint64_t desired) {
    return exchange_entry<Entry>(ref, expected, desired);
  }

 private:
  HostMemory& host_;
  VcpuState& cpu_;
};

// A fault the guest never learns of may race with other vCPUs; after this many rounds the VMM completes
// the access itself.
constexpr int kMaxRounds = 4;

bool addressable(PagingMode mode, Gva va) {
  switch (mode) {
    case PagingMode::kLevel4: return Long4::canonical(va);
    case PagingMode::kLevel5: return Long5::canonical(va);
    default: return va.value() >> 32 == 0;
  }
}

}  // namespace

Walk<Hpa> ShadowMmu::hardware_walk(VcpuRoots& v, Gva va, Access access, bool) {
  const Hpa root(v.hardware.load(std::memory_order_acquire));
  if (root == Hpa()) {
    Walk<Hpa> w;
    w.status = WalkStatus::kFault;
    return w;
  }
  ShadowTables tables(p2m_.host(), *v.cpu);
  ++v.cpu->counters[Counter::kWalks];
  return v.levels == 5 ? walk<Long5>(tables, {5, root}, va, access, v.host_rules)
                       : walk<Long4>(tables, {4, root}, va, access, v.host_rules);
}

Translation ShadowMmu::from_hardware(const Walk<Hpa>& w, Gva va) {
  Translation t;
  t.outcome = Outcome::kTranslated;
  t.hpa = w.address;
  t.size = w.size;
  t.rights = w.rights;
  t.key = w.key;
  t.global = w.global;
  t.dirty = w.dirty && (w.rights & kRightWrite) != 0;
  t.cacheable = true;
  // The guest-physical side is in our own records, not in the guest's tables.
  const unsigned index = Long4::index(va, w.level);
  if (const ShadowPage* page = pages_.at_table(w.table[w.level])) [[likely]] {
    const uint32_t frame =
        std::atomic_ref<uint32_t>(page->target[index]).load(std::memory_order_relaxed);
    t.gpa = Gpa(p2m_.frame_at(frame).value() | va.offset_in(w.size));
  }
  return t;
}

Translation ShadowMmu::miss(VcpuState& cpu, Gva va, Access access) {
  if (access.probe) {
    VmGuard guard(p2m_.lock());
    return probe_guest(p2m_, cpu, va, access);
  }
  if (!addressable(cpu.rules.mode, va)) [[unlikely]] {
    ++cpu.counters[Counter::kGuestFaults];
    Translation t;
    t.outcome = Outcome::kGuestFault;
    t.error_code = pf::kNonCanonical;
    return t;
  }
  VcpuRoots& v = roots_of(cpu);
  update_access_rules(v.host_rules, cpu.rules.ac, cpu.rules.pkru);
  FaultEnd fault;
  for (int round = 0; round < kMaxRounds; ++round) {
    const Walk<Hpa> hw = hardware_walk(v, va, access, round == 0);
    if (hw.ok()) [[likely]] return from_hardware(hw, va);
    VmExit exit(cpu, p2m_.lock());
    fault = handle_fault(v, va, access, hw);
    settle();
    if (!fault.retry) break;
  }
  return fault.end;
}

std::optional<Translation> ShadowMmu::cached_mmio(VcpuRoots& v, Gva va, Access access,
                                                  const Walk<Hpa>& hw) {
  if (hw.status != WalkStatus::kFault || (hw.error_code & pf::kReserved) == 0) return std::nullopt;
  // The entry was read without the lock: look again.
  const ShadowPage* page = pages_.at_table(hw.table[hw.level]);
  if (page == nullptr) return std::nullopt;
  const unsigned index = Long4::index(va, hw.level);
  const uint64_t spte = page->entries[index];
  if (!is_mmio(spte) || page->target[index] != p2m_.generation()) return std::nullopt;
  const Rights rights = Long4::rights(spte, 1, v.host_rules);
  if (!v.cpu->rules.allows(access, rights, Long4::key(spte))) return std::nullopt;
  if (access.write() && (spte & pte::kDirty) == 0) return std::nullopt;
  Translation t;
  t.outcome = Outcome::kHostViolation;
  t.cause = HostCause::kMmio;
  t.gpa = mmio_frame(spte).with_offset(PageSize::k4K, va.value());
  return t;
}

ShadowMmu::FaultEnd ShadowMmu::handle_fault(VcpuRoots& v, Gva va, Access access,
                                            const Walk<Hpa>& hw) {
  VcpuState& cpu = *v.cpu;
  Counters& count = cpu.counters;
  FaultEnd out;
  if (const auto mmio = cached_mmio(v, va, access, hw)) {
    ++count[Counter::kExitMmio];
    ++count[Counter::kMmioAccesses];
    out.end = *mmio;
    return out;
  }

  GuestTables tables(p2m_, cpu, access, GuestTables::Count::kNo, GuestTables::Lock::kHeld);
  const Walk<Gpa> w = walk_guest(tables, cpu.controls, cpu.rules, va, access);
  if (!w.ok()) {
    ++count[Counter::kExitPageFault];
    if (w.status == WalkStatus::kNoMemory) {
      out.end = tables.failure(w.level);
      return out;
    }
    ++count[Counter::kReflectedFaults];
    ++count[Counter::kGuestFaults];
    out.end = guest_fault(w);
    return out;
  }

  const Grant grant = effective_rights(v, w, access);
  const P2mEntry e = make_usable(p2m_, w.address, access.write(), count);
  out.end = end_of_walk(w, e, access.write(), w.rights);
  out.end.cacheable = false;
  out.end.dirty = false;
  // Each access needs at most one page for each level, and the glue below a new root.
  if (e.is_ram() || e.state() == FrameState::kMmio) make_room(7);

  if (!out.end.ok()) {
    if (e.state() == FrameState::kMmio) {
      if (options_.mmio_cache && ensure_root(v)) place_marker(v, va, w, grant.rights);
      ++count[Counter::kExitMmio];
      ++count[Counter::kMmioAccesses];
    } else {
      ++count[Counter::kExitPageFault];
    }
    return out;
  }

  const uint32_t frame = p2m_.frame_index(w.address);
  bool released = false;
  if (pages_.has_shadow(frame)) {
    if (options_.directory == DirectoryPolicy::kFullTrap) {
      out.end.trapped = true;
      return out;  // counted where the load or store is carried out
    }
    if (access.write() && pages_.tracked(frame)) {
      if (!can_unsync(frame)) {
        out.end.trapped = true;
        return out;
      }
      unsync_frame(frame);
      released = true;
    }
  }
  ++count[released ? Counter::kExitTableWrite : Counter::kExitPageFault];
  if (!released) ++count[Counter::kHiddenFaults];

  // Only now that room is made is the root validated: making room may have taken it.
  Mapped mapped;
  if (ensure_root(v)) mapped = map(v, va, w, grant.rights, e);
  // Mapping can make the accessed frame itself a table in use (it lies on the path).
  const bool full_trap = options_.directory == DirectoryPolicy::kFullTrap;
  if (full_trap ? pages_.has_shadow(frame) : access.write() && pages_.tracked(frame)) {
    out.end.trapped = true;
    return out;
  }
  const Rights got = mapped.page == nullptr ? Rights{0}
                                            : Long4::rights(mapped.spte, 1, v.host_rules);
  if (grant.emulate || mapped.page == nullptr ||
      !v.host_rules.allows(access, got, Long4::key(mapped.spte))) {
    ++count[Counter::kEmulatedAccesses];
    return out;
  }
  ++count[Counter::kShadowFills];
  out.retry = true;
  return out;
}

}  // namespace gnomon::shadow

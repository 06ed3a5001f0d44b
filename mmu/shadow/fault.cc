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
#include "mmu/foresee.h"
#include "mmu/guest_access.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {
namespace {

// A fault the guest never learns of may race with other vCPUs; after this many rounds the VMM
// completes the access itself.
constexpr int kMaxRounds = 4;

}  // namespace

// The guest-physical side of an entry that was walked is in our own records, not in the guest's
// tables. nullopt: another vCPU has changed the entry since, so the walk is to be made again.
std::optional<Origin> ShadowMmu::origin_of(const Walk<Hpa>& w, Gva va) {
  ShadowPage* page = pages_.at_table(w.table[w.level]);
  if (page == nullptr) return std::nullopt;
  const unsigned index = Long4::index(va, w.level);
  const uint32_t frame =
      std::atomic_ref<uint32_t>(page->target[index]).load(std::memory_order_acquire);
  constexpr uint64_t kFlags = pte::kAccessed | pte::kDirty;
  if (((load_spte(page->entries[index]) ^ w.entry[w.level]) & ~kFlags) != 0) return std::nullopt;
  const bool half_of_4m = w.level == 2 && page->role.paging_mode() == PagingMode::kLegacy32;
  return Origin{Gpa(p2m_.frame_at(frame).value() | va.offset_in(w.size)),
                page->role.direct != 0 || half_of_4m};
}

// An answer with no entry behind it cannot be found and revoked: the next revocation must wait for
// this vCPU's next access.
void ShadowMmu::note_handed_out(const Translation& end, Access access) {
  if (end.ok() && !end.trapped && access.write()) pages_.mark_tlb_stale();
}

Translation ShadowMmu::miss(VcpuState& cpu, Gva va, Access access) {
  if (access.probe()) {
    VmGuard guard(p2m_.lock());
    return probe_guest(p2m_, cpu, va, access);
  }
  if (!addressable(cpu.rules.mode, va)) [[unlikely]] {
    return non_canonical(cpu);
  }
  VcpuRoots& v = roots_of(cpu);
  update_access_rules(v.host_rules, cpu.rules.ac, cpu.rules.pkru);
  if (agile_ != nullptr) return miss_agile(v, va, access);
  const Hpa root(v.hardware.load(std::memory_order_acquire));
  const Walk<Hpa> hw = walk_shadow(p2m_.host(), cpu, v.host_rules, root, va, access);
  if (hw.ok()) [[likely]] {
    if (const auto origin = origin_of(hw, va)) [[likely]]
      return translated(hw, *origin);
  }
  return miss_after_fault(v, va, access, hw);
}

// A walk that succeeds reads the entry, and then our record of what it was made for.
void ShadowMmu::foresee(const VcpuState& cpu, Foresight& known, absl::Span<const Gva> pages) const {
  const uint64_t hardware = roots_of(cpu).hardware.load(std::memory_order_acquire);
  const bool guests_own = (hardware & 1) != 0;
  if (hardware == 0 || guests_own) return;
  const HostMemory& host = p2m_.host();
  const auto with = [&]<class Format>(Format) {
    const ForeseenEntries found = foresee_entries<Format>(
        host, known.walked, Hpa(hardware), pages, cpu.memory, [](uint64_t spte, unsigned level) {
          return is_link(spte, level) ? Hpa(Format::table_base(spte)) : Hpa();
        });
    for (const Foreseen& f : found) pages_.load_target_ahead(f.entry);
    if (cpu.memory == nullptr) return;
    for (const Foreseen& f : found) {
      const Hpa page(Format::table_base(peek(host, f.entry)));
      cpu.memory->load_ahead(page.with_offset(PageSize::k4K, f.va.value()));
    }
  };
  shadow_levels(cpu.rules.mode) == 5 ? with(Long5{}) : with(Long4{});
}

Translation ShadowMmu::miss_after_fault(VcpuRoots& v, Gva va, Access access,
                                        const Walk<Hpa>& first) {
  VcpuState& cpu = *v.cpu;
  const auto exit_with = [&](const Walk<Hpa>& hw, bool last) {
    VmExit exit(cpu, p2m_.lock());
    FaultEnd fault = handle_fault(v, va, access, hw);
    if (!fault.retry || last) note_handed_out(fault.end, access);
    settle();
    return fault;
  };
  FaultEnd fault = exit_with(first, /*last=*/false);
  for (int round = 1; fault.retry; ++round) {
    const Hpa root(v.hardware.load(std::memory_order_acquire));
    const Walk<Hpa> hw = walk_shadow(p2m_.host(), cpu, v.host_rules, root, va, access);
    if (hw.ok()) [[likely]] {
      if (const auto origin = origin_of(hw, va)) [[likely]]
        return translated(hw, *origin);
    }
    if (round == kMaxRounds) break;
    fault = exit_with(hw, round + 1 == kMaxRounds);
  }
  return fault.end;
}

std::optional<Translation> ShadowMmu::cached_mmio(VcpuRoots& v, Gva va, Access access,
                                                  const Walk<Hpa>& hw) {
  if (hw.status != WalkStatus::kFault || (hw.error_code & pf::kReserved) == 0) return std::nullopt;
  // A flush may have freed the page that was walked, while we waited for the lock.
  if (v.cpu->gate.flush_request.load()) return std::nullopt;
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
  if (const auto mmio = cached_mmio(v, va, access, hw)) {
    ++count[Counter::kExitMmio];
    ++count[Counter::kMmioAccesses];
    return {false, *mmio};
  }

  // Guest memory comes before tables of ours: a full host takes back what can be made again.
  make_room(0);
  GuestTables tables(p2m_, cpu, access, GuestTables::Count::kNo, GuestTables::Lock::kHeld);
  const Walk<Gpa> w = walk_guest_with_registers(tables, cpu, va, access);
  if (!w.ok()) {
    ++count[Counter::kExitPageFault];
    if (w.status == WalkStatus::kNoMemory) return {false, tables.failure(w.level)};
    ++count[Counter::kReflectedFaults];
    ++count[Counter::kGuestFaults];
    return {false, guest_fault(w)};
  }

  const bool see_next_store = !w.dirty && !(w.level == 1 && lazy_flags_for(w.table[1]));
  const Grant grant = effective_rights(cpu.rules, w, access, see_next_store);
  const P2mEntry e = make_usable(p2m_, w.address, access.write(), count);
  FaultEnd out{false, end_of_walk(w, e, access.write(), w.rights)};
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
  if (agile_ != nullptr && access.write()) agile_->first_write(frame);
  if (pages_.has_shadow(frame)) {
    if (options_.directory == DirectoryPolicy::kFullTrap) {
      out.end.trapped = true;
      return out;  // the exit is counted where the load or store is carried out
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
  // Only now that room is made is the root validated: making room may have taken it.
  Mapped mapped;
  if (ensure_root(v)) mapped = map(v, va, w, grant.rights, e);
  // Mapping can make the accessed frame itself a table in use (it lies on the path).
  const bool full_trap = options_.directory == DirectoryPolicy::kFullTrap;
  if (full_trap ? pages_.has_shadow(frame) : access.write() && pages_.tracked(frame)) {
    out.end.trapped = true;
    return out;
  }
  ++count[released ? Counter::kExitTableWrite : Counter::kExitPageFault];
  if (!released) ++count[Counter::kHiddenFaults];
  if (mapped.switched) {
    out.retry = true;
    return out;
  }
  const Rights got =
      mapped.page == nullptr ? Rights{0} : Long4::rights(mapped.spte, 1, v.host_rules);
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

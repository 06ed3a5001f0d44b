// SPDX-License-Identifier: Apache-2.0
#include "gnomon/tlb/walk_caches.h"
#include "mmu/direct/direct.h"
#include "mmu/direct/walk_memory.h"
#include "mmu/guest_access.h"

// What happens when an access misses the TLB. The hardware's own walk is all there is to most of them; a
// page fault goes to the VMM, and is one of four things: the guest's (reflected), an entry that the host
// changed (repaired, and the hardware tries again), a translation that no entry can express (emulated), or
// the end (a host violation).

namespace gnomon {

using direct::HardwareTables;
using direct::PvTables;
using direct::VisibleTables;

namespace {

// More repairs than a walk has entries, so that they end whatever the tables are.
constexpr unsigned kMaxRepairs = 16;

Walk<Gpa> as_guest_walk(const Walk<Hpa>& w, Gpa address) {
  Walk<Gpa> g;
  g.status = w.status;
  g.level = w.level;
  g.start_level = w.start_level;
  g.rights = w.rights;
  g.key = w.key;
  g.global = w.global;
  g.dirty = w.dirty;
  g.size = w.size;
  g.address = address;
  return g;
}

}  // namespace

Translation DirectMmu::refused(unsigned level, Gpa root) {
  Translation t;
  t.outcome = Outcome::kHostViolation;
  t.level = static_cast<uint8_t>(level);
  t.gpa = root;
  return t;
}

Translation DirectMmu::miss(VcpuState& cpu, Gva va, Access access) {
  Vcpu& v = vcpu(cpu);
  if (access.probe()) return probe(cpu, v, va, access);
  flush_batch(cpu, v);
  ++cpu.counters[Counter::kWalks];
  // Without the lock only a vCPU that a flush waits for may walk.
  const bool guarded = !p2m_.lock().threaded() || cpu.gate.in_guest.load(std::memory_order_relaxed);
  bool walked = false;
  if (cpu.rules.mode == PagingMode::kLevel4 && !v.refused && Long4::canonical(va) && guarded) [[likely]] {
    if (const std::optional<Walk<Hpa>> w = walk_in_place(cpu, va, access, /*count=*/true)) {
      walked = true;
      if (const std::optional<Translation> t = plain_end(*w, access)) return *t;
      if (w->status == WalkStatus::kFault && !tables_.remembers()) return reflect(cpu, *w);
    }
  }
  VmExit exit(cpu, p2m_.lock());
  return resolve(cpu, v, va, access, walked);
}

// The hardware's walk; nullopt if CR3 names no validated root.
std::optional<Walk<Hpa>> DirectMmu::walk_in_place(VcpuState& cpu, Gva va, Access access,
                                                  bool count) const {
  const Gpa root = root_at(cpu);
  if (type_of(root) != direct::FrameType::kL4) return std::nullopt;
  const P2mEntry e = p2m_.lookup(root);
  if (!e.is_ram()) return std::nullopt;
  HardwareTables memory(p2m_, tables_, cpu, count);
  // The VMM's own look at the tables uses no cache, nor does a processor that is about to flush its own.
  WalkCaches* caches = count && !cpu.gate.flush_request.load() ? cpu.caches : nullptr;
  return cached_walk<Long4>(caches, memory, WalkStart<Hpa>{4, e.frame()}, va, pcid_of(cpu.controls),
                            access, cpu.rules);
}

std::optional<Gpa> DirectMmu::page_of(const Walk<Hpa>& w) const {
  const std::optional<Gpa> page = tables_.m2p().find(w.address.page_base(w.size));
  if (!page) return std::nullopt;
  const Gpa gpa = page->with_offset(w.size, w.address.value());
  const P2mEntry e = p2m_.lookup(gpa);
  if (!e.is_ram() || e.frame() != w.address.page_base()) return std::nullopt;
  return gpa;
}

// The end of a walk that needs no help from the VMM.
std::optional<Translation> DirectMmu::plain_end(const Walk<Hpa>& w, Access access) const {
  if (!w.ok()) return std::nullopt;
  const std::optional<Gpa> gpa = page_of(w);
  if (!gpa) return std::nullopt;
  const P2mEntry e = p2m_.lookup(*gpa);
  if (access.write() && ((w.rights & kRightWrite) == 0 || !e.writable())) return std::nullopt;
  Translation t =
      end_of_walk(as_guest_walk(w, *gpa), cacheable_page(p2m_, e), access.write(), w.rights);
  t.trapped = tables_.types().is_table_at(*gpa);
  return t;
}

Translation DirectMmu::resolve(VcpuState& cpu, Vcpu& v, Gva va, Access access, bool walked) {
  if (cpu.rules.mode == PagingMode::kOff) return access_unpaged(cpu, va, access);
  if (!supports(cpu.rules.mode)) return refused(0, root_at(cpu));
  if (!Long4::canonical(va)) return non_canonical(cpu);
  if (v.refused) return refused(4, root_at(cpu));
  for (unsigned turn = 0; turn < kMaxRepairs; ++turn) {
    const std::optional<Walk<Hpa>> w = walk_in_place(cpu, va, access, /*count=*/!walked);
    walked = false;
    if (!w) {
      if (hold_root(cpu, v) != Root::kPinned) break;
      continue;
    }
    if (const std::optional<Translation> t = plain_end(*w, access)) return *t;
    const Next next = w->ok() ? help_write(cpu, *w, va) : repair(cpu, *w, va, access);
    if (next == Next::kReflect) return reflect(cpu, *w);
    if (next == Next::kEmulate) break;
    ++cpu.counters[Counter::kExitPageFault];
    ++cpu.counters[Counter::kHiddenFaults];
  }
  return emulate(cpu, va, access);
}

Translation DirectMmu::reflect(VcpuState& cpu, const Walk<Hpa>& w) {
  ++cpu.counters[Counter::kExitPageFault];
  ++cpu.counters[Counter::kReflectedFaults];
  ++cpu.counters[Counter::kGuestFaults];
  Translation t;
  t.outcome = Outcome::kGuestFault;
  t.level = w.level;
  t.error_code = w.error_code;
  return t;
}

// The entry that ended the walk.
std::optional<PvTables::Place> DirectMmu::place_of(const Walk<Hpa>& w, Gva va) const {
  const std::optional<Gpa> table = tables_.m2p().find(w.table[w.level]);
  if (!table) return std::nullopt;
  return PvTables::Place{p2m_.frame_index(*table), Long4::index(va, w.level)};
}

// A walk that failed, perhaps for what the host did to an entry.
DirectMmu::Next DirectMmu::repair(VcpuState& cpu, const Walk<Hpa>& w, Gva va, Access access) {
  const std::optional<PvTables::Place> place = place_of(w, va);
  if (!place) return Next::kEmulate;
  if (w.status == WalkStatus::kNoMemory) {  // accessed or dirty in a dirty-logged table
    make_usable(p2m_, p2m_.frame_at(place->table), /*write=*/true, cpu.counters);
    return Next::kRetry;
  }
  if (!tables_.is_remembered(*place)) return Next::kReflect;
  const uint64_t entry = tables_.raw(*place);
  if (!Long4::present(entry)) {
    return tables_.reinstate(*place, {cpu.rules, cpu.counters}) ? Next::kRetry : Next::kEmulate;
  }
  // Would the access have its rights if the entry had the W bit that the guest set?
  const Rights above = w.rights_above[w.level];
  const Rights rights = above & Long4::rights(entry | pte::kWritable, w.level, cpu.rules);
  if (!access.write() || (w.error_code & pf::kReserved) != 0 || !cpu.rules.permits(access, rights) ||
      cpu.rules.key_forbids(access, rights, Long4::key(entry))) {
    return Next::kReflect;
  }
  const PvTables::Target target = tables_.target_of(entry, w.level);
  make_usable(p2m_, target.gpa.with_offset(target.size, va.value()), /*write=*/true, cpu.counters);
  return tables_.make_writable(*place) ? Next::kRetry : Next::kEmulate;
}

// A walk for a store that succeeded, at a page that is dirty-logged, or read-only under CR0.WP = 0.
DirectMmu::Next DirectMmu::help_write(VcpuState& cpu, const Walk<Hpa>& w, Gva va) {
  const std::optional<Gpa> gpa = page_of(w);
  const std::optional<PvTables::Place> place = place_of(w, va);
  if (!gpa || !place) return Next::kEmulate;
  const bool logged = p2m_.lookup(*gpa).write_logged();
  if (logged) make_usable(p2m_, *gpa, /*write=*/true, cpu.counters);
  return tables_.make_writable(*place) || logged ? Next::kRetry : Next::kEmulate;
}

// The VMM walks the virtual page directory and completes the access itself. The answer is the native
// processor's; no TLB may keep it, for no entry stands behind it.
Translation DirectMmu::emulate(VcpuState& cpu, Gva va, Access access) {
  ++cpu.counters[Counter::kExitPageFault];
  VisibleTables memory(p2m_, tables_, cpu, access);
  const Walk<Gpa> w = walk<Long4>(memory, {4, root_at(cpu)}, va, access, cpu.rules);
  if (w.status == WalkStatus::kNoMemory) return memory.failure(w.level);
  if (w.status == WalkStatus::kFault) {
    ++cpu.counters[Counter::kReflectedFaults];
    ++cpu.counters[Counter::kGuestFaults];
    return guest_fault(w);
  }
  const P2mEntry e = make_usable(p2m_, w.address, access.write(), cpu.counters);
  if (e.state() == FrameState::kMmio) ++cpu.counters[Counter::kMmioAccesses];
  Translation t = end_of_walk(w, cacheable_page(p2m_, e), access.write(), w.rights);
  if (!t.ok()) return t;
  ++cpu.counters[Counter::kEmulatedAccesses];
  t.cacheable = false;
  note_frame_given_out(t);
  return t;
}

// A translation without an entry behind it: trap what goes to a table, and have the TLBs flushed before
// any other frame becomes one.
void DirectMmu::note_frame_given_out(Translation& t) {
  if (tables_.types().is_table_at(t.gpa)) {
    t.trapped = true;
    t.rights &= static_cast<Rights>(~kRightWrite);
  } else {
    tables_.types().note_unmapped(t.gpa, revoker_.epoch());
  }
}

Translation DirectMmu::access_unpaged(VcpuState& cpu, Gva va, Access access) {
  GuestTables none(p2m_, cpu, access, GuestTables::Count::kNo, GuestTables::Lock::kHeld);
  const Walk<Gpa> w = walk_guest(none, cpu.controls, cpu.rules, va, access);
  if (!w.ok()) return non_canonical(cpu);
  const P2mEntry e = make_usable(p2m_, w.address, access.write(), cpu.counters);
  if (e.state() == FrameState::kMmio) ++cpu.counters[Counter::kMmioAccesses];
  // Frame by frame, since each may become a table.
  Translation t = end_of_walk(w, e.as_4k(), access.write(), w.rights);
  if (t.ok()) note_frame_given_out(t);
  return t;
}

Translation DirectMmu::probe(VcpuState& cpu, const Vcpu& v, Gva va, Access access) {
  VmExit exit(cpu, p2m_.lock());
  Translation t;
  if (cpu.rules.mode == PagingMode::kOff) {
    t = probe_guest(p2m_, cpu, va, access);
  } else if (!supports(cpu.rules.mode)) {
    return refused(0, root_at(cpu));
  } else if (!Long4::canonical(va)) {
    t.outcome = Outcome::kGuestFault;
    t.error_code = pf::kNonCanonical;
  } else if (v.refused) {
    return refused(4, root_at(cpu));
  } else {
    VisibleTables memory(p2m_, tables_, cpu, access);
    const Walk<Gpa> w = walk<Long4>(memory, {4, root_at(cpu)}, va, access, cpu.rules);
    if (w.status == WalkStatus::kFault) return guest_fault(w);
    if (w.status == WalkStatus::kNoMemory) return memory.failure(w.level);
    t = end_of_probe(p2m_, w, access.write());
  }
  t.trapped = t.ok() && tables_.types().is_table_at(t.gpa);
  return t;
}

}  // namespace gnomon

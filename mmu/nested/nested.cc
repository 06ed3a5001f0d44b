// SPDX-License-Identifier: Apache-2.0
#include "mmu/nested/nested.h"

#include <algorithm>

#include "mmu/defects.h"
#include "mmu/foresee.h"
#include "mmu/guest_access.h"

namespace gnomon {

template <class Flavour>
NestedMmu<Flavour>::NestedMmu(P2m& p2m, const NestedOptions& options)
    : p2m_(p2m), max_page_(options.max_page), tables_(p2m.host()) {
  p2m_.add_listener(this);
}

template <class Flavour>
NestedMmu<Flavour>::~NestedMmu() {
  p2m_.remove_listener(this);
}

template <class Flavour>
Translation NestedMmu<Flavour>::miss(VcpuState& cpu, Gva va, Access access) {
  if (access.probe()) return probe_guest(p2m_, cpu, va, access);
  const bool cached = cpu.caches != nullptr;
  if (cpu.observed()) [[unlikely]] {
    return cached ? miss_with<true, true>(cpu, va, access)
                  : miss_with<false, true>(cpu, va, access);
  }
  return cached ? miss_with<true, false>(cpu, va, access)
                : miss_with<false, false>(cpu, va, access);
}

template <class Flavour>
template <bool kCached, bool kObserved>
Translation NestedMmu<Flavour>::miss_with(VcpuState& cpu, Gva va, Access access) {
  for (unsigned attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ++cpu.counters[Counter::kWalks];
    // Caches may hold addresses of tables that were revoked while this vCPU was out on an exit.
    if (kCached && cpu.gate.flush_request.load()) cpu.caches->flush_all();
    NestedWalkMemory<Flavour, kCached, kObserved> memory(tables_, p2m_.host(), cpu);
    const Walk<Gpa> w = with_guest_format(
        cpu.controls, cpu.rules, va, access,
        [&](auto format, WalkStart<Gpa> start) {
          using Guest = decltype(format);
          Walk<Gpa> done =
              walk<Guest>(memory, memory.template start<Guest>(start, va), va, access, cpu.rules);
          if (done.status == WalkStatus::kFault &&
              memory.template distrust_caches<Guest>(start, va)) {
            done = walk<Guest>(memory, start, va, access, cpu.rules);
          }
          if (done.status != WalkStatus::kNoMemory) memory.template remember<Guest>(done, va);
          return done;
        },
        [](const Walk<Gpa>& none) { return none; });
    if (w.status == WalkStatus::kFault) {
      ++cpu.counters[Counter::kGuestFaults];
      return guest_fault(w);
    }
    if (w.ok()) {
      const HostPage host = memory.translate(w.address, 0, access.op());
      if (host.ok()) [[likely]] {
        return end_of_walk(
            w, P2mEntry::make(FrameState::kRam, host.address, host.size, !host.writable),
            access.write(), w.rights);
      }
    }
    Translation end;
    if (!resolve(cpu, memory.violation(), va, access, end)) return end;
  }
  const VmExit exit(cpu, p2m_.lock());
  return complete(cpu, va, access);
}

template <class Flavour>
void NestedMmu<Flavour>::foresee(const VcpuState& cpu, Foresight& known,
                                 absl::Span<const Gva> pages) const {
  using Host = typename Flavour::Format;
  const HostMemory& host = p2m_.host();
  const Hpa root = tables_.root();
  if (root == Hpa()) return;
  with_long_format(cpu.rules, [&]<class Guest>(Guest) {
    const ForeseenEntries found = foresee_guest_entries<Guest>(p2m_, cpu, known.walked, pages);
    std::array<Gva, Foresight::kMost> gpas;
    size_t count = 0;
    for (const Foreseen& f : found) {
      gpas[count++] = Gva(Guest::table_base(peek(host, f.entry)) | f.va.offset_in(PageSize::k4K));
    }
    const ForeseenEntries nested =
        foresee_entries<Host>(host, known.host, root, absl::MakeConstSpan(gpas.data(), count),
                              cpu.memory, [](uint64_t e, unsigned level) {
                                return leads_on<Host>(e, level) ? Hpa(Host::table_base(e)) : Hpa();
                              });
    if (cpu.memory == nullptr) return;
    for (const Foreseen& f : nested) {
      cpu.memory->load_ahead(
          Hpa(Host::table_base(peek(host, f.entry)) | f.va.offset_in(PageSize::k4K)));
    }
  });
}

// The exit, as the VMM handles it.
template <class Flavour>
bool NestedMmu<Flavour>::resolve(VcpuState& cpu, const NestedViolation& v, Gva va, Access access,
                                 Translation& end) {
  const VmExit exit(cpu, p2m_.lock());
  P2mEntry e = make_usable(p2m_, v.at, v.write, cpu.counters);
  if (e.state() == FrameState::kLazy && tables_.bytes() != 0) {
    revoke_all();  // the host is full: what can be made again goes first
    e = make_usable(p2m_, v.at, v.write, cpu.counters);
  }
  ++cpu.counters[e.state() == FrameState::kMmio ? Counter::kExitMmio
                                                : Counter::kExitNestedViolation];
  const bool may = e.is_ram() && !(v.write && e.rom()) && HostTables<Flavour>::reaches(v.at);
  if (may && map(cpu, v.at, e)) return true;
  end = complete(cpu, va, access);
  return false;
}

// Carries the access out in software, as an instruction emulator does: it cannot be made to work in
// the tables (a device, a read-only or missing frame, a guest table in ROM, no memory for tables).
template <class Flavour>
Translation NestedMmu<Flavour>::complete(VcpuState& cpu, Gva va, Access access) {
  GuestTables tables(p2m_, cpu, access, GuestTables::Count::kNo, GuestTables::Lock::kHeld);
  const Walk<Gpa> w = walk_guest(tables, cpu.controls, cpu.rules, va, access);
  if (w.status == WalkStatus::kNoMemory) return tables.failure(w.level);
  if (w.status == WalkStatus::kFault) {
    ++cpu.counters[Counter::kGuestFaults];
    return guest_fault(w);
  }
  const P2mEntry e = make_usable(p2m_, w.address, access.write(), cpu.counters);
  if (e.state() == FrameState::kMmio) ++cpu.counters[Counter::kMmioAccesses];
  Translation t = end_of_walk(w, e, access.write(), w.rights);
  t.cacheable = false;
  if (t.ok()) ++cpu.counters[Counter::kEmulatedAccesses];
  return t;
}

template <class Flavour>
bool NestedMmu<Flavour>::map(VcpuState& cpu, Gpa gpa, P2mEntry e) {
  std::optional<PageSize> size = tables_.map(p2m_, gpa, e, max_page_);
  if (!size) {
    revoke_all();
    size = tables_.map(p2m_, gpa, e, max_page_);
  }
  tables_changed();
  if (!size) return false;
  ++cpu.counters[Counter::kNestedFills];
  if (*size != PageSize::k4K) ++cpu.counters[Counter::kNestedLargeFills];
  return true;
}

template <class Flavour>
StoreResult NestedMmu<Flavour>::write_physical(VcpuState& cpu, Gpa at, uint64_t value,
                                               unsigned size) {
  const VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kTableWrites];
  return store_untracked(p2m_, at, value, size, cpu.counters);
}

template <class Flavour>
bool NestedMmu<Flavour>::read_physical(VcpuState& cpu, Gpa at, unsigned size, uint64_t& value) {
  const VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kTableReads];
  return load_untracked(p2m_, at, size, value, cpu.counters);
}

template <class Flavour>
void NestedMmu<Flavour>::before_p2m_change(Gpa first, uint64_t frames, Change change) {
  if (change == Change::kRemoved && defect(Defect::kUnownedFrameMapped)) return;
  revoke(first, frames, change == Change::kWriteProtected);
}

template <class Flavour>
void NestedMmu<Flavour>::drop_caches() {
  const VmGuard guard(p2m_.lock());
  revoke_all();
}

// When it returns, no processor uses anything in the range any more, in its TLB or half-way through
// a walk.
template <class Flavour>
void NestedMmu<Flavour>::revoke(Gpa first, uint64_t frames, bool only_writing) {
  typename HostTables<Flavour>::Unlinked unlinked;
  tables_.revoke(first, frames, only_writing, unlinked);
  ++counters_[Counter::kTlbFlushRequests];
  cpus_.flush_all(p2m_.lock().threaded());
  tables_.release(unlinked);
  tables_changed();
}

template <class Flavour>
void NestedMmu<Flavour>::tables_changed() {
  counters_[Counter::kTableBytes] = tables_.bytes();
  uint64_t& peak = counters_[Counter::kTableBytesPeak];
  peak = std::max(peak, tables_.bytes());
}

template <class Flavour>
std::vector<AuditFinding> NestedMmu<Flavour>::audit() const {
  std::vector<AuditFinding> findings;
  tables_.audit(p2m_, max_page_, findings);
  if (counters_[Counter::kTableBytes] != tables_.bytes()) {
    findings.push_back({1, "table_bytes is not what the tables take"});
  }
  return findings;
}

template class NestedMmu<Ept<4, false>>;
template class NestedMmu<Ept<4, true>>;
template class NestedMmu<Ept<5, false>>;
template class NestedMmu<Ept<5, true>>;
template class NestedMmu<Npt<4>>;
template class NestedMmu<Npt<5>>;

}  // namespace gnomon

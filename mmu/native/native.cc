// SPDX-License-Identifier: Apache-2.0
#include "mmu/native/native.h"

#include "gnomon/tlb/walk_caches.h"
#include "mmu/foresee.h"
#include "mmu/guest_access.h"

namespace gnomon {
namespace {

// The processor's walk, which begins as deep as its paging-structure caches allow.
template <bool kObserved>
Walk<Gpa> walk_cached(ProcessorTables<kObserved>& tables, VcpuState& cpu, Gva va, Access access) {
  return with_guest_format(
      cpu.controls, cpu.rules, va, access,
      // By reference: a copy of what was stored in parts just before would stall.
      [&]<class Format>(Format, const WalkStart<Gpa>& root) {
        return cached_walk<Format>(cpu.caches, tables, root, va, pcid_of(cpu.controls), access,
                                   cpu.rules);
      },
      [](const Walk<Gpa>& w) { return w; });
}

}  // namespace

NativeMmu::NativeMmu(P2m& p2m) : p2m_(p2m) { p2m_.add_listener(this); }
NativeMmu::~NativeMmu() { p2m_.remove_listener(this); }

Translation NativeMmu::miss(VcpuState& cpu, Gva va, Access access) {
  if (access.probe()) return probe_guest(p2m_, cpu, va, access);
  if (cpu.observed()) [[unlikely]] return miss_observed(cpu, va, access);
  return miss_with<false>(cpu, va, access);
}

Translation NativeMmu::miss_observed(VcpuState& cpu, Gva va, Access access) {
  return miss_with<true>(cpu, va, access);
}

template <bool kObserved>
inline Translation NativeMmu::miss_with(VcpuState& cpu, Gva va, Access access) {
  ProcessorTables<kObserved> tables(p2m_, cpu, access, GuestTables::Lock::kTake);
  ++cpu.counters[Counter::kWalks];
  const Walk<Gpa> w = walk_cached(tables, cpu, va, access);
  if (!w.ok()) [[unlikely]] {
    if (w.status == WalkStatus::kNoMemory) return tables.failure(w.level);
    ++cpu.counters[Counter::kGuestFaults];
    return guest_fault(w);
  }
  P2mEntry e = p2m_.lookup(w.address);
  if (!e.is_ram() || (access.write() && !e.writable())) [[unlikely]] {
    VmExit exit(cpu, p2m_.lock());
    e = make_usable(p2m_, w.address, access.write(), cpu.counters);
    if (e.state() == FrameState::kMmio) ++cpu.counters[Counter::kMmioAccesses];
  }
  return end_of_walk(w, cacheable_page(p2m_, e), access.write(), w.rights);
}

void NativeMmu::foresee(const VcpuState& cpu, Foresight& known, absl::Span<const Gva> pages) const {
  with_long_format(cpu.rules, [&]<class Format>(Format) {
    const ForeseenEntries found = foresee_guest_entries<Format>(p2m_, cpu, known.walked, pages);
    const auto page_of = [&](Hpa entry) { return Gpa(Format::table_base(peek(p2m_.host(), entry))); };
    for (const Foreseen& f : found) p2m_.load_ahead(page_of(f.entry));
    if (cpu.memory == nullptr) return;
    for (const Foreseen& f : found) {
      const P2mEntry e = p2m_.lookup(page_of(f.entry));
      cpu.memory->load_ahead(e.frame().with_offset(PageSize::k4K, f.va.value()));
    }
  });
}

StoreResult NativeMmu::write_physical(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) {
  VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kTableWrites];
  return store_untracked(p2m_, at, value, size, cpu.counters);
}

bool NativeMmu::read_physical(VcpuState& cpu, Gpa at, unsigned size, uint64_t& value) {
  VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kTableReads];
  return load_untracked(p2m_, at, size, value, cpu.counters);
}

void NativeMmu::before_p2m_change(Gpa, uint64_t, Change) {
  // The TLBs hold host-physical addresses; nothing else does.
  ++counters_[Counter::kTlbFlushRequests];
  cpus_.flush_all(p2m_.lock().threaded());
}

}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#include "mmu/vtlb/vtlb.h"

#include "absl/strings/str_format.h"
#include "mmu/guest_access.h"
#include "mmu/options.h"

namespace gnomon {

VtlbMmu::VtlbMmu(P2m& p2m, const VtlbOptions& options) : p2m_(p2m), options_(options) {
  p2m_.add_listener(this);
}

VtlbMmu::~VtlbMmu() { p2m_.remove_listener(this); }

void VtlbMmu::attach(VcpuState& cpu) {
  const VmGuard guard(p2m_.lock());
  if (cpu.id >= vcpus_.size()) vcpus_.resize(cpu.id + 1);
  vcpus_[cpu.id] = std::make_unique<Vcpu>(p2m_, options_.budget_bytes);
  vcpus_[cpu.id]->host_rules = shadow::host_rules_for(cpu.rules);
  cpus_.attach(cpu);
}

void VtlbMmu::detach(VcpuState& cpu) {
  const VmGuard guard(p2m_.lock());
  cpus_.detach(cpu);
  vcpus_[cpu.id] = nullptr;
}

Translation VtlbMmu::miss(VcpuState& cpu, Gva va, Access access) {
  if (access.probe()) {
    const VmGuard guard(p2m_.lock());
    return probe_guest(p2m_, cpu, va, access);
  }
  if (!shadow::addressable(cpu.rules.mode, va)) [[unlikely]] {
    return non_canonical(cpu);
  }
  Vcpu& v = of(cpu);
  update_access_rules(v.host_rules, cpu.rules.ac, cpu.rules.pkru);
  FaultEnd fault;
  for (int round = 0; round < 4; ++round) {
    const Walk<Hpa> w = shadow::walk_shadow(p2m_.host(), cpu, v.host_rules, v.tables.root(), va,
                                            access);
    if (w.ok()) [[likely]] return shadow::translated(w, v.tables.origin_of(va));
    const VmExit exit(cpu, p2m_.lock());
    fault = handle_fault(cpu, va, access);
    if (!fault.retry) break;
  }
  return fault.end;
}

VtlbMmu::FaultEnd VtlbMmu::handle_fault(VcpuState& cpu, Gva va, Access access) {
  Counters& count = cpu.counters;
  FaultEnd out;
  GuestTables tables(p2m_, cpu, access, GuestTables::Count::kNo, GuestTables::Lock::kHeld);
  // Guest memory comes before tables of ours: a full host takes back what can be made again.
  constexpr uint64_t kSpareBytes = 8 * bytes_of(PageSize::k4K);
  if (p2m_.host().free_bytes() < kSpareBytes && bytes_now() != 0) restart_all();
  const Walk<Gpa> w = shadow::walk_guest_with_registers(tables, cpu, va, access);
  if (w.status == WalkStatus::kFault) {
    ++count[Counter::kExitPageFault];
    ++count[Counter::kReflectedFaults];
    ++count[Counter::kGuestFaults];
    out.end = guest_fault(w);
    return out;
  }
  if (!w.ok()) {
    ++count[Counter::kExitPageFault];
    out.end = tables.failure(w.level);
    return out;
  }
  const P2mEntry e = make_usable(p2m_, w.address, access.write(), count);
  out.end = end_of_walk(w, e, access.write(), w.rights);
  out.end.cacheable = out.end.dirty = false;
  if (!out.end.ok()) {
    const bool mmio = e.state() == FrameState::kMmio;
    ++count[mmio ? Counter::kExitMmio : Counter::kExitPageFault];
    if (mmio) ++count[Counter::kMmioAccesses];
    return out;
  }
  ++count[Counter::kExitPageFault];
  ++count[Counter::kHiddenFaults];
  const shadow::Grant grant = shadow::effective_rights(cpu.rules, w, access, !w.dirty);
  uint64_t entry = 0;
  const bool filled = fill(cpu, va, w, e, grant.rights, entry);
  const PagingRules& host = of(cpu).host_rules;
  if (grant.emulate || !filled ||
      !host.allows(access, Long4::rights(entry, 1, host), Long4::key(entry))) {
    ++count[Counter::kEmulatedAccesses];
    return out;
  }
  ++count[Counter::kShadowFills];
  out.retry = true;
  return out;
}

unsigned VtlbMmu::leaf_level(const Walk<Gpa>& w, P2mEntry e) const {
  return options_.large_pages ? shadow::largest_leaf(p2m_, w, e) : 1;
}

bool VtlbMmu::fill(VcpuState& cpu, Gva va, const Walk<Gpa>& w, P2mEntry e, Rights rights,
                   uint64_t& entry) {
  const unsigned level = leaf_level(w, e);
  if (!e.writable()) rights &= ~kRightWrite & kAllRights;
  entry = shadow::make_leaf({.frame = e.frame().page_base(Long4::leaf_size(level)),
                             .rights = rights,
                             .key = w.key,
                             .global = w.global},
                            level);
  const unsigned top = shadow::shadow_levels(cpu.rules.mode);
  PrivateTables& tables = of(cpu).tables;
  if (!tables.fill(va, top, level, entry, w.size, w.address)) {
    ++counters_[Counter::kShadowPagesRecycled];
    restart(cpu);
    if (!tables.fill(va, top, level, entry, w.size, w.address)) return false;
  }
  if (level > 1) ++cpu.counters[Counter::kShadowLargeFills];
  if (w.size > Long4::leaf_size(level)) ++cpu.counters[Counter::kSplintered];
  note_bytes();
  return true;
}

// The vCPU itself is outside the guest, so nothing walks its tables; its TLB and walk caches forget at its
// next access.
void VtlbMmu::restart(VcpuState& cpu) {
  of(cpu).tables.unpublish();
  of(cpu).tables.free_all();
  note_bytes();
  cpu.gate.flush_request.store(true);
}

void VtlbMmu::controls_changed(VcpuState& cpu, const PagingRules&) {
  const VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kExitControl];
  of(cpu).host_rules = shadow::host_rules_for(cpu.rules);
  restart(cpu);
}

void VtlbMmu::cr3_loaded(VcpuState& cpu, bool) {
  const VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kExitCr3];
  // With PCIDs a load need not flush, but there is only one set of entries here.
  of(cpu).tables.flush_non_global();
  note_bytes();
  if (cpu.caches != nullptr) cpu.gate.flush_request.store(true);
}

void VtlbMmu::invlpg(VcpuState& cpu, Gva va) {
  const VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kExitInvlpg];
  if (shadow::addressable(cpu.rules.mode, va)) of(cpu).tables.drop(va);
}

void VtlbMmu::invpcid(VcpuState& cpu, InvpcidType type, uint16_t pcid, Gva va) {
  const VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kExitInvlpg];
  const bool current = pcid == pcid_of(cpu.controls);  // no other has entries
  switch (type) {
    case InvpcidType::kAddress:
      if (current && shadow::addressable(cpu.rules.mode, va)) of(cpu).tables.drop(va);
      break;
    case InvpcidType::kContext:
      if (current) of(cpu).tables.flush_non_global();
      break;
    case InvpcidType::kAllWithGlobals: restart(cpu); break;
    case InvpcidType::kAll: of(cpu).tables.flush_non_global(); break;
  }
  if (cpu.caches != nullptr) cpu.gate.flush_request.store(true);
}

StoreResult VtlbMmu::write_physical(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) {
  const VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kTableWrites];
  return store_untracked(p2m_, at, value, size, cpu.counters);
}

bool VtlbMmu::read_physical(VcpuState& cpu, Gpa at, unsigned size, uint64_t& value) {
  const VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kTableReads];
  return load_untracked(p2m_, at, size, value, cpu.counters);
}

uint64_t VtlbMmu::table_bytes() const {
  const VmGuard guard(p2m_.lock());
  return bytes_now();
}

void VtlbMmu::note_bytes() {
  counters_[Counter::kTableBytes] = bytes_now();
  uint64_t& peak = counters_[Counter::kTableBytesPeak];
  peak = std::max(peak, bytes_now());
}

uint64_t VtlbMmu::bytes_now() const {
  uint64_t sum = 0;
  for (const auto& v : vcpus_) sum += v == nullptr ? 0 : v->tables.bytes();
  return sum;
}

void VtlbMmu::restart_all() {
  for (const auto& v : vcpus_) {
    if (v != nullptr) v->tables.unpublish();
  }
  ++counters_[Counter::kTlbFlushRequests];
  cpus_.flush_all(p2m_.lock().threaded());
  for (const auto& v : vcpus_) {
    if (v != nullptr) v->tables.free_all();
  }
  note_bytes();
}

void VtlbMmu::before_p2m_change(Gpa, uint64_t, Change change) {
  if (change != Change::kAppeared) restart_all();
}

void VtlbMmu::drop_caches() {
  const VmGuard guard(p2m_.lock());
  restart_all();
}

std::vector<AuditFinding> VtlbMmu::audit() const {
  const VmGuard guard(p2m_.lock());
  std::vector<AuditFinding> findings;
  for (const auto& v : vcpus_) {
    if (v == nullptr) continue;
    v->tables.for_each_leaf([&](unsigned level, uint64_t entry, Gpa gpa) {
      const PageSize size = Long4::leaf_size(level);
      const uint64_t base = Long4::leaf_base(entry, level);
      for (uint64_t i = 0; i < bytes_of(size) >> 12; ++i) {
        const P2mEntry e = p2m_.lookup(Gpa(gpa.value() + (i << 12)));
        const Hpa host(base + (i << 12));
        const bool sound = e.is_ram() && e.frame() == host &&
                           p2m_.host().owner(host) == FrameOwner::kGuestRam;
        if (sound && (e.writable() || !shadow::is_writable(entry))) continue;
        findings.push_back({sound ? 2 : 1, absl::StrFormat("an entry 0x%x for %s does not agree with "
                                                           "the p2m", entry, to_string(gpa))});
        break;
      }
    });
    if (v->tables.bytes() > options_.budget_bytes) {
      findings.push_back({9, "a vCPU's tables are over their budget"});
    }
  }
  return findings;
}

absl::StatusOr<std::unique_ptr<Backend>> create_vtlb(P2m& p2m, absl::string_view text) {
  absl::StatusOr<OptionList> list = OptionList::parse(text);
  if (!list.ok()) return list.status();
  VtlbOptions o;
  o.large_pages = list->get_bool("large", o.large_pages);
  o.budget_bytes = list->get_bytes("budget", o.budget_bytes, 0, uint64_t{1} << 40);
  if (absl::Status status = list->finish(); !status.ok()) return status;
  return std::make_unique<VtlbMmu>(p2m, o);
}

}  // namespace gnomon

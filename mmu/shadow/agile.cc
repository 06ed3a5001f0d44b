// SPDX-License-Identifier: Apache-2.0
// Agile paging: shadow above, nested below. See mmu/agile/nested_part.h for the picture.
//
// Which tables: one that is written again and again would trap each time, so it is given up as a shadow and
// walked where it is. Nothing about it is tracked any more: its own stores are free. A frame that is
// a tracked table through another path stays write-protected in the nested tables as well.
#include "absl/strings/str_format.h"
#include "mmu/guest_access.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {
namespace {

/// Long paging that ends at a switching entry, as at one that is not present: before any right is checked.
template <unsigned Levels>
struct AgileFormat : LongFormat<Levels> {
  static constexpr bool present(uint64_t e) { return LongFormat<Levels>::present(e) && !is_switch(e); }
};

// Each guest level may need its table and the data page made reachable, and made writable.
constexpr int kMaxRounds = 32;

}  // namespace

Translation ShadowMmu::miss_agile(VcpuRoots& v, Gva va, Access access) {
  using agile::NestedPart;
  VcpuState& cpu = *v.cpu;
  FaultEnd fault;
  for (int round = 0; round < kMaxRounds; ++round) {
    ++cpu.counters[Counter::kWalks];
    // The shadow part.
    const uint64_t hardware = v.hardware.load(std::memory_order_acquire);
    const unsigned levels = shadow_levels(cpu.rules.mode);
    WalkStart<Hpa> nested{levels, Hpa(hardware & ~uint64_t{1})};
    bool switched = (hardware & 1) != 0;
    const Walk<Hpa> hw = [&] {
      if (hardware == 0 || switched) {
        Walk<Hpa> none;
        if (!switched) none.status = WalkStatus::kFault;
        return none;
      }
      ShadowTables tables(p2m_.host(), cpu);
      const WalkStart<Hpa> root{levels, Hpa(hardware)};
      return levels == 5 ? walk<AgileFormat<5>>(tables, root, va, access, v.host_rules)
                         : walk<AgileFormat<4>>(tables, root, va, access, v.host_rules);
    }();
    if (hardware != 0 && !switched) {
      if (hw.ok()) {
        if (const auto origin = origin_of(hw, va)) return translated(hw, *origin);
        continue;
      }
      const uint64_t entry = hw.entry[hw.level];
      switched = hw.status == WalkStatus::kFault && is_switch(entry);
      if (switched) {
        nested = {hw.level - 1u, Hpa(entry & pte::kFrameMask), switch_rights(entry)};
      }
    }
    // The nested part.
    if (switched) {
      NestedWalkMemory<NestedPart::Flavour, false, true> memory(agile_->tables(), p2m_.host(), cpu);
      memory.begin_at(nested.level, nested.table);
      Gpa table = root_of(cpu.controls, cpu.rules.mode);
      if (hw.level != 0) {
        const auto origin = origin_of(hw, va);
        if (!origin) continue;
        table = origin->gpa.page_base();
      }
      const Walk<Gpa> w = with_guest_format(
          cpu.controls, cpu.rules, va, access,
          [&](auto format, WalkStart<Gpa>) {
            return walk<decltype(format)>(memory, {nested.level, table, nested.rights}, va, access,
                                          cpu.rules);
          },
          [](const Walk<Gpa>& none) { return none; });
      if (w.status == WalkStatus::kFault) {
        ++cpu.counters[Counter::kGuestFaults];
        return guest_fault(w);
      }
      if (w.ok()) {
        const HostPage host = memory.translate(w.address, 0, access.op);
        if (host.ok()) {
          return end_of_walk(
              w, P2mEntry::make(FrameState::kRam, host.address, host.size, !host.writable),
              access.write(), w.rights);
        }
      }
      const VmExit exit(cpu, p2m_.lock());
      fault = handle_violation(v, memory.violation(), va, access, hw);
      if (!fault.retry) note_handed_out(fault.end, access);
      settle();
      if (!fault.retry) return fault.end;
      continue;
    }
    const VmExit exit(cpu, p2m_.lock());
    agile_interval();
    fault = handle_fault(v, va, access, hw);
    if (!fault.retry) note_handed_out(fault.end, access);
    settle();
    if (!fault.retry) return fault.end;
  }
  const VmExit exit(cpu, p2m_.lock());
  fault = handle_fault(v, va, access, Walk<Hpa>{});
  note_handed_out(fault.end, access);
  settle();
  return fault.end;
}

ShadowMmu::FaultEnd ShadowMmu::handle_violation(VcpuRoots& v, const NestedViolation& at, Gva va,
                                                Access access, const Walk<Hpa>& hw) {
  Counters& count = v.cpu->counters;
  agile_interval();
  P2mEntry e = make_usable(p2m_, at.at, at.write, count);
  const uint32_t frame = p2m_.frame_index(at.at);
  const bool may = e.is_ram() && !(at.write && (e.rom() || pages_.tracked(frame))) &&
                   HostTables<agile::NestedPart::Flavour>::reaches(at.at);
  if (!may) return handle_fault(v, va, access, hw);
  if (at.write) agile_->first_write(frame);
  // A tracked table, and a nested table not yet written in this interval, report their first write.
  const bool protect = pages_.tracked(frame) || (agile_->watches(frame) && !at.write);
  const bool small = protect || pages_.holds_tables(at.at, PageSize::k2M) ||
                     agile_->watches_any();
  const P2mEntry entry = protect ? e.with_logged(true) : e;
  if (!agile_->tables().map(p2m_, at.at, entry, small ? PageSize::k4K : PageSize::k2M)) {
    revoke_nested(Gpa(), ~uint64_t{0}, /*only_writing=*/false);
    if (!agile_->tables().map(p2m_, at.at, entry, PageSize::k4K)) {
      return handle_fault(v, va, access, hw);
    }
  }
  ++count[Counter::kExitNestedViolation];
  ++count[Counter::kNestedFills];
  return {.retry = true, .end = {}};
}

bool ShadowMmu::place_switch(ShadowPage& parent, unsigned index, uint64_t gfn, Rights above) {
  const Gpa table = Gpa::from_frame(gfn);
  const uint32_t frame = p2m_.frame_index(table);
  if (frame == P2m::kNoIndex || !agile_->holds(frame)) return false;
  const P2mEntry e = p2m_.lookup(table);
  if (!e.is_ram()) return false;
  const uint64_t entry = make_switch(e.frame(), above);
  if (parent.entries[index] == entry && parent.target[index] == frame) return true;
  if (is_present(parent.entries[index])) flush_needed_ = true;
  pages_.set_switch(parent, index, entry, frame);
  return true;
}

bool ShadowMmu::table_goes_nested(uint32_t frame) {
  if (!agile_->count_write(frame)) return false;
  pages_.for_each_shadow(frame, [&](ShadowPage& p) { zap(p); });
  agile_->enter(frame);
  agile_->first_write(frame);
  ++counters_[Counter::kSwitchedToNested];
  return true;
}

void ShadowMmu::leave_nested(uint32_t frame) {
  if (!agile_->leave(frame)) return;
  ++counters_[Counter::kSwitchedToShadow];
  forget_switches(frame);
}

void ShadowMmu::forget_switches(uint32_t frame) {
  pages_.drop_mappings(frame);  // the switches that lead to it are among them
  const Gpa table = p2m_.frame_at(frame);
  for (const auto& v : vcpus_) {
    if (v == nullptr) continue;
    if (v->current.switched && Gpa(v->current.cr3).page_base() == table) {
      v->current.switched = false;
      publish_root(*v);
    }
    std::erase_if(v->previous, [&](const Root& root) {
      return root.switched && Gpa(root.cr3).page_base() == table;
    });
  }
  flush_needed_ = true;
}

void ShadowMmu::agile_interval() {
  if (!agile_->exit_ends_interval()) return;
  for (const uint32_t frame : agile_->quiet_tables()) leave_nested(frame);
  // The first store of the next interval is to be seen, whichever mapping it goes through.
  for (const uint32_t frame : agile_->held()) {
    pages_.write_protect(frame);
    revoke_nested(p2m_.frame_at(frame), 1, /*only_writing=*/true);
  }
}

void ShadowMmu::revoke_nested(Gpa first, uint64_t frames, bool only_writing) {
  HostTables<agile::NestedPart::Flavour>::Unlinked unlinked;
  agile_->tables().revoke(first, frames, only_writing, unlinked);
  flush_tlbs();
  agile_->tables().release(unlinked);
}

void ShadowMmu::audit_agile(std::vector<AuditFinding>& findings) const {
  agile_->tables().audit(p2m_, PageSize::k2M, findings);
  agile_->tables().for_each_leaf([&](Gpa first, PageSize size, bool writable) {
    for (uint64_t i = 0; writable && i < bytes_of(size) >> 12; ++i) {
      const uint32_t frame = p2m_.frame_index(Gpa(first.value() + (i << 12)));
      if (frame == P2m::kNoIndex || !pages_.tracked(frame)) continue;
      findings.push_back({2, absl::StrFormat("a nested entry maps the tracked table in %s writable",
                                             to_string(p2m_.frame_at(frame)))});
    }
  });
  for (const uint32_t frame : agile_->held()) {
    if (pages_.has_shadow(frame)) {
      findings.push_back({2, absl::StrFormat("the table in %s is in nested mode and shadowed",
                                             to_string(p2m_.frame_at(frame)))});
    }
  }
}

}  // namespace gnomon::shadow

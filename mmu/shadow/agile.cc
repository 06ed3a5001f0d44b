// SPDX-License-Identifier: Apache-2.0
// Agile paging: shadow above, nested below. See mmu/agile/nested_part.h for the picture.
//
// Which tables: one that is written again and again would trap each time, so it is given up as a shadow and
// walked where it is. Nothing about it is tracked any more: its own stores are free. A frame that is
// a tracked table through another path stays write-protected in the nested tables as well.
#include <optional>

#include "absl/strings/str_format.h"
#include "gnomon/tlb/walk_caches.h"
#include "mmu/guest_access.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {
namespace {

/// Long paging that ends at a switching entry, as at one that is not present: before any right is checked.
template <unsigned Levels>
struct AgileFormat : LongFormat<Levels> {
  static constexpr bool present(uint64_t e) { return LongFormat<Levels>::present(e) && !is_switch(e); }
};

/// The shadow part, from where the paging-structure caches allow. They may keep what leads to a switch as they
/// keep what leads to a page; a fault from a cached start is looked for again from the root.
template <class Format, class Tables>
Walk<Hpa> walk_to_switch_cached(WalkCaches* caches, Tables& tables, WalkStart<Hpa> root, Gva va,
                                uint16_t pcid, Access access, const PagingRules& rules) {
  const WalkStart<Hpa> start = caches->start<Format>(root, va, pcid);
  Walk<Hpa> w = walk<Format>(tables, start, va, access, rules);
  const auto arrived = [&] {
    return w.ok() || (w.status == WalkStatus::kFault && is_switch(w.entry[w.level]));
  };
  if (!arrived() && start.level != root.level) {
    caches->drop_path<Format>(va, pcid, root.level);
    w = walk<Format>(tables, root, va, access, rules);
  }
  if (!arrived()) return w;
  for (unsigned level = w.start_level; level > w.level; --level) {
    caches->fill<Format>(level, va, pcid, w.table[level - 1].value(), w.rights_above[level - 1]);
  }
  return w;
}

// Apart from that, so that either way the result is built where it is wanted.
template <unsigned Levels, class Tables>
Walk<Hpa> walk_to_switch(WalkCaches* caches, Tables& tables, WalkStart<Hpa> root, Gva va, uint16_t pcid,
                         Access access, const PagingRules& rules) {
  using Format = AgileFormat<Levels>;
  if (caches == nullptr) return walk<Format>(tables, root, va, access, rules);
  return walk_to_switch_cached<Format>(caches, tables, root, va, pcid, access, rules);
}

// Each guest level may need its table and the data page made reachable, and made writable.
constexpr int kMaxRounds = 32;

}  // namespace

Translation ShadowMmu::miss_agile(VcpuRoots& v, Gva va, Access access) {
  if (v.cpu->observed()) [[unlikely]] return miss_agile_observed(v, va, access);
  return miss_agile_with<false>(v, va, access);
}

Translation ShadowMmu::miss_agile_observed(VcpuRoots& v, Gva va, Access access) {
  return miss_agile_with<true>(v, va, access);
}

/// How the nested part of a walk ended: with an answer for the processor, or where the host's tables refused.
struct ShadowMmu::NestedEnd {
  std::optional<Translation> answer;
  NestedViolation violation{};
};

/// Walks the guest's tables from `start`, whose host address is known, at guest-physical `table`. `kCached`:
/// the processor keeps the host's dimension in its caches; the guest's it does not know below a switch.
template <bool kCached, bool kObserved>
ShadowMmu::NestedEnd ShadowMmu::walk_nested_part(VcpuState& cpu, WalkStart<Hpa> start, Gpa table, Gva va,
                                                 Access access) {
  NestedWalkMemory<agile::NestedPart::Flavour, kCached, kObserved, /*kKnown=*/true> memory(
      agile_->tables(), p2m_.host(), cpu);
  memory.begin_at(start.level, start.table);
  const Walk<Gpa> w = with_guest_format(
      cpu.controls, cpu.rules, va, access,
      [&](auto format, WalkStart<Gpa>) {
        return walk<decltype(format)>(memory, {start.level, table, start.rights}, va, access, cpu.rules);
      },
      [](const Walk<Gpa>& none) { return none; });
  if (w.status == WalkStatus::kFault) {
    ++cpu.counters[Counter::kGuestFaults];
    return {.answer = guest_fault(w)};
  }
  if (w.ok()) {
    const HostPage host = memory.translate(w.address, 0, access.op());
    if (host.ok()) {
      return {.answer = end_of_walk(
                  w, P2mEntry::make(FrameState::kRam, host.address, host.size, !host.writable),
                  access.write(), w.rights)};
    }
  }
  return {.answer = std::nullopt, .violation = memory.violation()};
}

template <bool kObserved>
inline Translation ShadowMmu::miss_agile_with(VcpuRoots& v, Gva va, Access access) {
  using agile::NestedPart;
  VcpuState& cpu = *v.cpu;
  FaultEnd fault;
  if (cpu.counters[Counter::kAccesses] - v.interval_start >= agile_->options().period) [[unlikely]] {
    // The host's timer, which ticks whether the guest exits or not.
    v.interval_start = cpu.counters[Counter::kAccesses];
    const VmExit exit(cpu, p2m_.lock());
    end_agile_interval();
    settle();
  }
  for (int round = 0; round < kMaxRounds; ++round) {
    ++cpu.counters[Counter::kWalks];
    // A flush that waits for this vCPU's next access may be about what the caches hold.
    WalkCaches* const caches =
        cpu.gate.flush_request.load(std::memory_order_relaxed) ? nullptr : cpu.caches;
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
      ShadowTables<kObserved> tables(p2m_.host(), cpu);
      const WalkStart<Hpa> root{levels, Hpa(hardware)};
      const uint16_t pcid = pcid_of(cpu.controls);
      return levels == 5
                 ? walk_to_switch<5>(caches, tables, root, va, pcid, access, v.host_rules)
                 : walk_to_switch<4>(caches, tables, root, va, pcid, access, v.host_rules);
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
      Gpa table = root_of(cpu.controls, cpu.rules.mode);
      if (hw.level != 0) {
        const auto origin = origin_of(hw, va);
        if (!origin) continue;
        table = origin->gpa.page_base();
      }
      const NestedEnd end =
          caches != nullptr
              ? walk_nested_part<true, kObserved>(cpu, nested, table, va, access)
              : walk_nested_part<false, kObserved>(cpu, nested, table, va, access);
      if (end.answer.has_value()) return *end.answer;
      const VmExit exit(cpu, p2m_.lock());
      fault = handle_violation(v, end.violation, va, access, hw);
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
  enter_nested(frame);
  return true;
}

void ShadowMmu::enter_nested(uint32_t frame) {
  pages_.for_each_shadow(frame, [&](ShadowPage& p) { zap(p); });
  agile_->enter(frame);
  agile_->first_write(frame);
  ++counters_[Counter::kSwitchedToNested];
}

// A process that does not live long is not worth a shadow: one that is new begins in nested mode from the top, and
// has its root looked at when an interval ends, as any other nested table.
void ShadowMmu::begin_nested(const VcpuState& cpu) {
  if (agile_ == nullptr || !agile_->options().start_nested) return;
  if (cpu.rules.mode != PagingMode::kLevel4 && cpu.rules.mode != PagingMode::kLevel5) return;
  const uint32_t frame = p2m_.frame_index(root_of(cpu.controls, cpu.rules.mode));
  if (frame != P2m::kNoIndex && !agile_->holds(frame)) enter_nested(frame);
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
  if (agile_->exit_ends_interval()) end_agile_interval();
}

void ShadowMmu::end_agile_interval() {
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

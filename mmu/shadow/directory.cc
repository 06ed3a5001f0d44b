// SPDX-License-Identifier: Apache-2.0
// The virtual page directory: what the guest reads back from its own tables. The guest mapped A to B and must
// read A to B, with the flags that real hardware would have set, whatever the processor walks.
//
// Since shadow tables are separate pages, the guest's table already says A to B. Under kWriteTrap the guest
// reads it directly. Under kFullTrap each load comes here, and lazy dirty flags are carried over first.
#include "mmu/defects.h"
#include "mmu/guest_access.h"
#include "mmu/shadow/shadow.h"

namespace gnomon::shadow {

bool ShadowMmu::lazy_flags_for(Gpa table) const {
  return options_.flags == FlagPolicy::kLazy && p2m_.lookup(table).writable();
}

void ShadowMmu::losing_dirty(const ShadowPage& page, unsigned index) {
  const Gpa at = guest_entry_of(page, index);
  const P2mEntry e = make_usable(p2m_, at, /*write=*/true, counters_);
  if (!e.is_ram() || e.rom()) return;
  // The low byte of an entry of any width holds A and D.
  uint8_t* low = p2m_.host().at<uint8_t>(e.frame().with_offset(PageSize::k4K, at.value()));
  std::atomic_ref<uint8_t>(*low).fetch_or(pte::kDirty);
}

void ShadowMmu::collect_flags(uint32_t frame) {
  if (options_.flags != FlagPolicy::kLazy) return;
  pages_.for_each_shadow(frame, [&](ShadowPage& p) {
    if (p.role.level != 1) return;
    for (unsigned i = 0; i < kEntries; ++i) {
      if (shows_dirty(load_spte(p.entries[i]))) losing_dirty(p, i);
    }
  });
}

bool ShadowMmu::read_physical(VcpuState& cpu, Gpa at, unsigned size, uint64_t& value) {
  VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kTableReads];
  const uint32_t frame = p2m_.frame_index(at);
  if (options_.directory == DirectoryPolicy::kFullTrap && pages_.has_shadow(frame)) {
    ++cpu.counters[Counter::kExitTableRead];
    ++cpu.counters[Counter::kDirectoryReads];
    collect_flags(frame);
  }
  if (!load_untracked(p2m_, at, size, value, cpu.counters)) return false;
  if (defect(Defect::kDirectoryReadShowsHost) && pages_.has_shadow(frame)) {
    value ^= p2m_.lookup(at).frame().value();
  }
  return true;
}

}  // namespace gnomon::shadow

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/vcpu.h"

#include "gnomon/x86/guest_walk.h"
#include "mmu/vcpu_set.h"

namespace gnomon {

absl::StatusOr<VcpuParts> VcpuParts::from(const TlbPreset& preset, uint32_t id,
                                          const CpuModel& model) {
  VcpuParts parts;
  parts.id = id;
  parts.model = model;
  const TlbConfig tlb = preset.tlb();
  if (!tlb.structures.empty()) {
    auto made = Tlb::create(tlb);
    if (!made.ok()) return made.status();
    parts.tlb = *std::move(made);
  }
  const WalkCacheConfig walks = preset.walk_caches();
  if (walks.any()) {
    auto made = WalkCaches::create(walks);
    if (!made.ok()) return made.status();
    parts.caches = *std::move(made);
  }
  return parts;
}

namespace vcpu_internal {
namespace {

bool long_mode(const Controls& c) { return (c.efer & efer::kLMA) != 0; }

// SDM vol. 3, 4.4.1: these loads of CR0 and CR4 also load the PDPTE registers when the new mode has
// them.
bool reloads_pdptes(const Controls& before, const Controls& after) {
  return paging_mode(after) == PagingMode::kPae &&
         (((before.cr0 ^ after.cr0) & cr0::kPG) != 0 ||
          ((before.cr4 ^ after.cr4) & (cr4::kPAE | cr4::kPGE | cr4::kPSE | cr4::kSMEP)) != 0 ||
          long_mode(before));
}

bool load_pdptes_for(P2m& p2m, VcpuState& cpu, Controls& next) {
  if (cpu.cpu.pdptes_in_memory) return true;
  const VmExit exit(cpu, p2m.lock());  // the table may get its host frame now
  return load_pdptes(p2m, next, derive_rules(next, cpu.cpu));
}

}  // namespace

void obey_flush_request(VcpuState& cpu, VmLock& lock, Tlb* tlb, WalkCaches* caches) {
  const VmExit exit(cpu, lock);
  if (tlb != nullptr) tlb->flush_all();
  if (caches != nullptr) caches->flush_all();
  cpu.gate.flush_request.store(false);
}

bool canonical(PagingMode mode, Gva va) {
  switch (mode) {
    case PagingMode::kLevel4: return Long4::canonical(va);
    case PagingMode::kLevel5: return Long5::canonical(va);
    case PagingMode::kOff:
    case PagingMode::kLegacy32:
    case PagingMode::kPae: break;
  }
  return true;
}

bool complete_cr3(P2m& p2m, VcpuState& cpu, uint64_t value, Controls& next) {
  if (!long_mode(next)) {
    if (value >> 32 != 0) return false;
  } else {
    uint64_t address = value;
    if ((next.cr4 & cr4::kPCIDE) != 0) address &= ~cr3::kNoFlush;
    if (address >> cpu.cpu.maxphyaddr != 0) return false;
  }
  next.cr3 = value & ~cr3::kNoFlush;
  return paging_mode(next) != PagingMode::kPae || load_pdptes_for(p2m, cpu, next);
}

bool complete_controls(P2m& p2m, VcpuState& cpu, Controls& next) {
  const Controls& before = cpu.controls;
  const bool paging = (next.cr0 & cr0::kPG) != 0;
  const bool was_paging = (before.cr0 & cr0::kPG) != 0;
  next.efer &= ~efer::kLMA;
  if (paging && (next.efer & efer::kLME) != 0) next.efer |= efer::kLMA;

  if (next.cr0 >> 32 != 0) return false;
  if (paging && (next.cr0 & cr0::kPE) == 0) return false;
  if (long_mode(next) && (next.cr4 & cr4::kPAE) == 0) return false;
  if (paging && was_paging && ((next.efer ^ before.efer) & efer::kLME) != 0) return false;
  if (long_mode(next) && long_mode(before) && ((next.cr4 ^ before.cr4) & cr4::kLA57) != 0) return false;
  if ((next.cr4 & cr4::kPCIDE) != 0) {
    if (!long_mode(next)) return false;
    if ((before.cr4 & cr4::kPCIDE) == 0 && (next.cr3 & cr3::kPcidMask) != 0) return false;
  }
  return !reloads_pdptes(before, next) || load_pdptes_for(p2m, cpu, next);
}

Flush flush_after(const Controls& before, const Controls& after) {
  const uint64_t cr4 = before.cr4 ^ after.cr4;
  if (paging_mode(before) != paging_mode(after) || (cr4 & (cr4::kPGE | cr4::kPSE)) != 0 ||
      ((before.efer ^ after.efer) & efer::kNXE) != 0 ||
      (cr4 & before.cr4 & cr4::kPCIDE) != 0) {
    return Flush::kEverything;
  }
  // The rights of what is cached are checked against the new rules at each hit in any case.
  if ((cr4 & after.cr4 & cr4::kSMEP) != 0) return Flush::kCurrentPcid;
  return Flush::kNothing;
}

}  // namespace vcpu_internal
}  // namespace gnomon

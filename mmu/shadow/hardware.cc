// SPDX-License-Identifier: Apache-2.0
#include "mmu/shadow/hardware.h"

#include "mmu/defects.h"

namespace gnomon::shadow {

PagingRules host_rules_for(const PagingRules& guest) {
  Controls host;
  host.cr0 = cr0::kPE | cr0::kPG | cr0::kWP;
  host.cr4 = cr4::kPAE | (shadow_levels(guest.mode) == 5 ? cr4::kLA57 : 0) |
             (guest.smep ? cr4::kSMEP : 0) | (guest.smap ? cr4::kSMAP : 0) |
             (guest.pke ? cr4::kPKE : 0) | (guest.pge ? cr4::kPGE : 0);
  host.efer = efer::kLME | efer::kLMA | efer::kNXE;
  host.ac = guest.ac;
  host.pkru = guest.pkru;
  return derive_rules(host, CpuModel{.maxphyaddr = kHostMaxPhyAddr});
}

Walk<Hpa> walk_shadow_observed(const HostMemory& host, VcpuState& cpu, const PagingRules& host_rules,
                               Hpa root, Gva va, Access access) {
  return walk_shadow_with<true>(host, cpu, host_rules, root, va, access);
}

unsigned largest_leaf(const P2m& p2m, const Walk<Gpa>& w, P2mEntry e) {
  for (unsigned level = 3; level > 1; --level) {
    const PageSize size = Long4::leaf_size(level);
    if (w.size < size || e.size() < size) continue;
    if (!p2m.logging()) return level;
    bool logged = false;
    const Gpa base = w.address.page_base(size);
    for (uint64_t i = 0; i < bytes_of(size) >> 12 && !logged; ++i) {
      logged = p2m.lookup(Gpa(base.value() + (i << 12))).write_logged();
    }
    if (!logged) return level;
  }
  return 1;
}

Grant effective_rights(const PagingRules& guest, const Walk<Gpa>& w, Access access,
                       bool see_next_store) {
  Grant grant{w.rights, false};
  if (see_next_store && !defect(Defect::kDirtyNotRequired)) {
    grant.rights &= ~kRightWrite & kAllRights;
  }
  const bool read_only = (w.rights & kRightWrite) == 0;
  const bool supervisors = (w.rights & kRightUser) == 0;
  // For a load, too: tables that break up a large page are kept by their rights, and would change places
  // with each load and store.
  if (read_only && supervisors && !guest.wp && !see_next_store) grant.rights |= kRightWrite;
  const bool needs_wp_off = access.write() && !access.user() && read_only;
  if (!needs_wp_off) return grant;
  if (supervisors) {
    grant.rights |= kRightWrite;
  } else if (guest.smap || guest.pke) {
    grant.emulate = true;
  } else {
    grant.rights = static_cast<Rights>((grant.rights | kRightWrite) & ~kRightUser);
    if (guest.smep) grant.rights &= ~kRightExec & kAllRights;
  }
  return grant;
}

}  // namespace gnomon::shadow

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/x86/rules.h"

#include <algorithm>

#include "gnomon/x86/entry_bits.h"

namespace gnomon {
namespace {

// SDM vol. 3, 4.6.1 "Determination of Access Rights": may an access of this kind use a page whose
// composed rights are `r`? Protection keys come on top (PagingRules::key_forbids).
bool permitted(const PagingRules& rules, AccessOp op, Privilege by, Rights r) {
  const bool user_page = (r & kRightUser) != 0;
  const bool writable = (r & kRightWrite) != 0;
  // Without NXE an entry with XD set is malformed, so the guest's own rights always include this one;
  // the entries of a shadow pager may withhold it all the same (SMEP on a page made the kernel's).
  const bool executable = (r & kRightExec) != 0;
  if (by == Privilege::kUser) {
    if (!user_page) return false;
    if (op == AccessOp::kWrite) return writable;
    return op == AccessOp::kRead || executable;
  }
  if (op == AccessOp::kFetch) return executable && !(user_page && rules.smep);
  if (user_page && rules.smap && !(rules.ac && by == Privilege::kSupervisor)) return false;
  return op == AccessOp::kRead || writable || !rules.wp;
}

void derive_permissions(PagingRules& rules) {
  const bool long_or_pae = rules.mode != PagingMode::kOff && rules.mode != PagingMode::kLegacy32;
  const bool reports_fetch = rules.smep || (long_or_pae && rules.nxe);
  for (const AccessOp op : {AccessOp::kRead, AccessOp::kWrite, AccessOp::kFetch}) {
    for (const Privilege by : {Privilege::kUser, Privilege::kSupervisor, Privilege::kImplicit}) {
      const unsigned kind = Access{op, by}.kind();
      rules.permitted[kind] = 0;
      for (Rights r = 0; r <= kAllRights; ++r) {
        if (permitted(rules, op, by, r)) rules.permitted[kind] |= static_cast<uint8_t>(1u << r);
      }
      rules.error_base[kind] = static_cast<uint8_t>(
          (op == AccessOp::kWrite ? pf::kWrite : 0) | (by == Privilege::kUser ? pf::kUser : 0) |
          (op == AccessOp::kFetch && reports_fetch ? pf::kFetch : 0));
    }
  }
}

void derive_reserved(PagingRules& rules, const CpuModel& cpu) {
  const uint64_t beyond = bit_range(51, cpu.maxphyaddr);
  const uint64_t no_execute = rules.nxe ? 0 : pte::kNoExecute;
  auto& table = rules.reserved_table;
  auto& leaf = rules.reserved_leaf;
  switch (rules.mode) {
    case PagingMode::kOff:
      break;
    case PagingMode::kLegacy32: {
      // Of PDE bits 21..13 only as many are address bits as the processor has above bit 31.
      const unsigned width = cpu.pse36 ? std::min<unsigned>(cpu.maxphyaddr, 40) : 32;
      leaf[2] = bit_range(21, width - 19);
      break;
    }
    case PagingMode::kPae:
      table[3] = bit_range(2, 1) | bit_range(8, 5) | bit_range(63, cpu.maxphyaddr);
      table[2] = leaf[1] = bit_range(62, cpu.maxphyaddr) | no_execute;
      leaf[2] = leaf[1] | bit_range(20, 13);
      break;
    case PagingMode::kLevel4:
    case PagingMode::kLevel5:
      table[2] = table[3] = leaf[1] = beyond | no_execute;
      table[4] = table[5] = beyond | no_execute | pte::kLarge;
      leaf[2] = leaf[1] | bit_range(20, 13);
      leaf[3] = leaf[1] | bit_range(29, 13) | (cpu.gb_pages ? 0 : pte::kLarge);
      break;
  }
}

}  // namespace

PagingRules derive_rules(const Controls& c, const CpuModel& cpu) {
  PagingRules rules;
  rules.mode = paging_mode(c);
  const bool long_mode = rules.mode == PagingMode::kLevel4 || rules.mode == PagingMode::kLevel5;
  rules.wp = (c.cr0 & cr0::kWP) != 0;
  rules.nxe = (c.efer & efer::kNXE) != 0 && rules.mode != PagingMode::kOff &&
              rules.mode != PagingMode::kLegacy32;
  const bool paging = rules.mode != PagingMode::kOff;  // without it there is nothing to check
  rules.smep = paging && (c.cr4 & cr4::kSMEP) != 0;
  rules.smap = paging && (c.cr4 & cr4::kSMAP) != 0;
  rules.pke = long_mode && (c.cr4 & cr4::kPKE) != 0;
  rules.pse = (c.cr4 & cr4::kPSE) != 0;
  rules.pge = (c.cr4 & cr4::kPGE) != 0;
  rules.ac = c.ac;
  rules.pkru = c.pkru;
  rules.maxphyaddr = cpu.maxphyaddr;
  rules.accessed_before_fault = cpu.accessed_before_fault;
  rules.pdptes_in_memory = cpu.pdptes_in_memory;
  derive_reserved(rules, cpu);
  derive_permissions(rules);
  return rules;
}

void update_ac_rule(PagingRules& rules, bool ac) {
  rules.ac = ac;
  if (rules.smap) derive_permissions(rules);
}

}  // namespace gnomon

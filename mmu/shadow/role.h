// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_SHADOW_ROLE_H_
#define MMU_SHADOW_ROLE_H_

#include <cstdint>

#include "gnomon/x86/rules.h"

namespace gnomon::shadow {

/// Everything besides the frame that decides what a shadow page must contain. A page is reused only if
/// the frame number and every bit here match.
struct Role {
  uint32_t level : 3 = 1;
  uint32_t mode : 3 = 0;      ///< PagingMode of the guest tables being shadowed
  uint32_t quadrant : 2 = 0;  ///< which part of a 1024-entry table of 32-bit paging
  uint32_t direct : 1 = 0;    ///< maps consecutive guest frames; shadows no table (frame = first one)
  uint32_t glue : 1 = 0;      ///< upper levels that a 32-bit, PAE or unpaged guest does not have
  uint32_t access : 3 = kAllRights;  ///< rights composed above, as they were when the page was made
  // Of the guest page that a direct page breaks up.
  uint32_t key : 4 = 0;
  uint32_t global : 1 = 0;
  // How guest entries are read: these change what an entry means, or what its shadow may grant.
  uint32_t nxe : 1 = 0;
  uint32_t pse : 1 = 0;
  uint32_t wp : 1 = 0;
  uint32_t smep_without_wp : 1 = 0;
  uint32_t no_flip : 1 = 0;  ///< CR0.WP = 0 with SMAP or protection keys: see effective_rights

  PagingMode paging_mode() const { return static_cast<PagingMode>(mode); }
  friend bool operator==(const Role&, const Role&) = default;
};

/// The role bits that a vCPU's registers determine.
inline Role base_role(const PagingRules& rules) {
  Role role;
  role.mode = static_cast<uint32_t>(rules.mode);
  role.nxe = rules.nxe;
  role.pse = rules.mode == PagingMode::kLegacy32 && rules.pse;
  role.wp = rules.wp;
  role.smep_without_wp = rules.smep && !rules.wp;
  role.no_flip = (rules.smap || rules.pke) && !rules.wp;
  return role;
}

}  // namespace gnomon::shadow

#endif  // MMU_SHADOW_ROLE_H_

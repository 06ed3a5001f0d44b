// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_SHADOW_SHADOW_PAGE_H_
#define MMU_SHADOW_SHADOW_PAGE_H_

#include <array>
#include <cstdint>

#include "gnomon/base/address.h"
#include "mmu/shadow/pte_list.h"
#include "mmu/shadow/role.h"

namespace gnomon::shadow {

inline constexpr unsigned kEntries = 512;

/// One page of the shadow tables with its bookkeeping. `entries` is what the processor walks; `target` says for
/// each entry what it was made for, so that dropping it never asks the guest's tables, which may have
/// changed since (the lesson of CVE-2026-46113):
///   a link    target = number of the child page
///   a leaf    target = p2m frame number of the first 4K frame it maps
///   a marker  target = p2m generation under which it was made
///   a switch  target = p2m frame number of the guest table it leads to
struct ShadowPage {
  uint32_t number = 0;  ///< own number; 0 for a header that is free
  Role role;
  bool unsync = false;      ///< the guest may have changed the table without our notice
  bool referenced = false;  ///< used by a walk since the recycler last looked
  bool doomed = false;      ///< zapped; freed once no vCPU can still be walking it
  uint8_t flood = 0;        ///< trapped writes since the page was last used
  uint16_t rebuilt = kEntries;  ///< entry that the last trapped write had rebuilt; kEntries: none
  uint16_t live = 0;        ///< entries that are present
  uint16_t roots = 0;       ///< root slots that point here
  uint64_t gfn = 0;         ///< of the guest table, or of the first frame a direct page maps
  Hpa table;
  uint64_t* entries = nullptr;
  uint32_t* target = nullptr;
  uint32_t next_same_frame = 0;  ///< chain of pages for the same gfn
  uint32_t older = 0, newer = 0;  ///< recycling order
  PteList parents;
  std::array<uint64_t, kEntries / 64> unsync_below{};  ///< links that may lead to an unsync page

  bool shadows_table() const { return role.direct == 0 && role.glue == 0; }
  bool any_unsync_below() const {
    uint64_t any = 0;
    for (const uint64_t word : unsync_below) any |= word;
    return any != 0;
  }
};

/// What one shadow page costs: the table, its targets, and the header.
inline constexpr uint64_t kBytesPerShadowPage =
    4096 + kEntries * sizeof(uint32_t) + sizeof(ShadowPage);

}  // namespace gnomon::shadow

#endif  // MMU_SHADOW_SHADOW_PAGE_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_DIRECT_ENTRY_BASE_H_
#define MMU_DIRECT_ENTRY_BASE_H_

#include <cstdint>

#include "gnomon/x86/format_long.h"

namespace gnomon::direct {

/// The bits of a present entry that hold an address, guest or host. Bit 12 of a large leaf is PAT.
constexpr uint64_t base_mask(uint64_t e, unsigned level) {
  const bool leaf = Long4::leaf(e, level, {});
  return leaf ? pte::kFrameMask & ~offset_mask(Long4::leaf_size(level)) : pte::kFrameMask;
}

/// The same entry with another address.
constexpr uint64_t with_base(uint64_t e, unsigned level, uint64_t base) {
  return (e & ~base_mask(e, level)) | base;
}

static_assert(with_base(0x20'1083, 2, 0x60'0000) == 0x60'1083);
static_assert(with_base(0x20'1003, 2, 0x60'0000) == 0x60'0003);

}  // namespace gnomon::direct

#endif  // MMU_DIRECT_ENTRY_BASE_H_

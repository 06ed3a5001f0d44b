// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GUEST_ENTRIES_H_
#define TRACES_GUEST_ENTRIES_H_

#include <cstdint>

#include "gnomon/traces/event.h"
#include "gnomon/x86/entry_bits.h"
#include "gnomon/x86/format_long.h"
#include "traces/guest/frames.h"

// What the kernel writes into page-table entries. As in Linux, entries are born with the accessed
// flag (and those that a store asked for with the dirty flag): the processor has nothing to set on
// first use.

namespace gnomon::guest {

inline constexpr uint64_t kUserEnd = uint64_t{1} << 47;
inline constexpr unsigned kPageShift = 12;
inline constexpr unsigned kRootLevel = Long4::kLevels;
inline constexpr unsigned kEntriesPerTable = 512;
inline constexpr uint64_t kKernelHalf = 256;  ///< first entry of a root that belongs to the kernel

inline constexpr uint64_t kTableBits =
    pte::kPresent | pte::kWritable | pte::kUser | pte::kAccessed | pte::kDirty;
inline constexpr uint64_t kKernelTableBits = kTableBits & ~pte::kUser;
/// An entry that is not present but keeps its page, because its mapping has no rights (PROT_NONE).
inline constexpr uint64_t kNoRights = pte::kGlobal;

constexpr bool is_present(uint64_t entry) { return (entry & pte::kPresent) != 0; }
/// A user entry that holds a page.
constexpr bool holds_page(uint64_t entry) { return (entry & (pte::kPresent | kNoRights)) != 0; }
constexpr bool is_writable(uint64_t entry) { return (entry & pte::kWritable) != 0; }
constexpr uint64_t frame_of(uint64_t entry) { return (entry & pte::kFrameMask) >> kPageShift; }
/// A leaf of a user's table at level 2, as opposed to a table.
constexpr bool is_huge(uint64_t entry) { return (entry & pte::kLarge) != 0 && holds_page(entry); }

inline constexpr uint64_t kRightsBits =
    pte::kPresent | kNoRights | pte::kWritable | pte::kNoExecute;
/// The rights part of an entry in a mapping of these rights, without the right to write.
constexpr uint64_t rights_bits(MapFlags flags) {
  const bool any = (flags & (kMapRead | kMapWrite | kMapExec)) != 0;
  return (any ? pte::kPresent : kNoRights) | ((flags & kMapExec) != 0 ? 0 : pte::kNoExecute);
}
constexpr uint64_t make_page(uint64_t frame, MapFlags flags) {
  return frame << kPageShift | pte::kUser | pte::kAccessed | rights_bits(flags);
}

}  // namespace gnomon::guest

#endif  // TRACES_GUEST_ENTRIES_H_

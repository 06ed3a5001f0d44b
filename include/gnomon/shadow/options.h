// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_SHADOW_OPTIONS_H_
#define GNOMON_SHADOW_OPTIONS_H_

#include <cstdint>

namespace gnomon {

/// How the guest's loads and stores of its own tables are caught.
enum class DirectoryPolicy : uint8_t {
  /// Tables are mapped read-only: loads run at full speed and see the page itself, stores trap.
  kWriteTrap,
  /// Tables are not mapped at all: loads and stores both trap and the virtual page directory answers.
  /// Costs an exit per load; lets the VMM decide what the guest sees (needed for lazy A/D).
  kFullTrap,
};

/// When the guest's dirty flag reaches its tables. (Its accessed flag is always set at the fault that fills
/// the entry: there is a fault anyway.)
enum class FlagPolicy : uint8_t {
  /// At the fault: a clean page is mapped read-only until its first store, which costs a second fault.
  kEager,
  /// A clean writable page is mapped writable at once; the processor's dirty flag in the shadow entry is
  /// carried over when the guest looks, or the entry goes. Saves the second fault; needs kFullTrap,
  /// because the guest must not read its table behind our back.
  kLazy,
};

/// Policies of the shadow pager. Each default is what tends to be best for a stock kernel.
struct ShadowOptions {
  /// Let a leaf table go out of sync on its first trapped write, and bring it back when the guest
  /// flushes. On: one trap for a burst of updates, but a flush must re-read the table. Off: one trap
  /// for each update, and nothing to do at a flush.
  bool unsync = true;
  /// Entries in the aligned group around a fault that are filled at once, where the guest's accessed
  /// flag is set already. More: fewer faults after a sync or zap; work for entries that may not be used.
  /// 0 or 1: off; a power of two up to 64.
  unsigned prefetch = 8;
  /// Roots a vCPU keeps besides the current one. More: CR3 loads of a recent address space find their
  /// tree at once; the pages of those trees cannot be recycled as early. 0 to 16.
  unsigned cached_roots = 3;
  /// Trapped writes to a table, without use of it in between, after which its shadow is dropped (the guest is
  /// probably reusing the page). A write that no kernel makes to a table (across entries, or of less than
  /// half of one that is not its first byte) drops it at once. Low: fewer traps on a page that is no table
  /// any more; high: fewer rebuilds of one that is. 0: never.
  unsigned flood_threshold = 3;
  /// Map 2M and 1G where both the guest's and the host's page allow. Off: everything is 4K.
  bool large_pages = true;
  /// After a trapped write to a leaf entry, rebuild the shadow entry at once. Off: only drop it, and
  /// take a fault at the next access.
  bool update_on_write = true;
  /// Mark device pages in the shadow, so that a second access needs no walk of the guest's tables.
  bool mmio_cache = true;
  DirectoryPolicy directory = DirectoryPolicy::kWriteTrap;
  FlagPolicy flags = FlagPolicy::kEager;
  /// Most memory for shadow pages with their headers (the chains of the reverse map, which only frames mapped from
  /// several places need, come on top). Beyond it, least recently used pages go; a floor of
  /// what a single access on each vCPU needs always remains. Never fatal: the guest gets slower.
  uint64_t budget_bytes = uint64_t{256} << 20;
};

}  // namespace gnomon

#endif  // GNOMON_SHADOW_OPTIONS_H_

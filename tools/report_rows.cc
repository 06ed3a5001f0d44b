// SPDX-License-Identifier: Apache-2.0
#include "tools/report_rows.h"

namespace gnomon::tools {
namespace {

using enum Counter;

const GuestStatInfo& guest_row(GuestStat s) { return guest_stat_table()[static_cast<size_t>(s)]; }

double per(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

constexpr ReportRow kReferences[] = {
    {"accesses", kAccesses},
};

constexpr ReportRow kTlb[] = {
    {"hits, level 1", kTlbHitsL1},
    {"  2M pages", kTlbHitsL1At2M},
    {"  1G pages", kTlbHitsL1At1G},
    {"hits, level 2", kTlbHitsL2},
    {"  2M pages", kTlbHitsL2At2M},
    {"  1G pages", kTlbHitsL2At1G},
    {"misses", kTlbMisses},
    {"  2M pages", kTlbMissesAt2M},
    {"  1G pages", kTlbMissesAt1G},
    {"misses per 1000",
     +[](const ReplayResult& r) {
       return 1e3 * per(r.counters[kTlbMisses], r.counters[kAccesses]);
     },
     "tlb_misses_per_1000", "misses"},
    {"flushes asked by the VMM", kTlbFlushRequests},
};

constexpr ReportRow kFaults[] = {
    {"delivered to the guest", kGuestFaults}, {"reflected by the VMM", kReflectedFaults},
    {"hidden from the guest", kHiddenFaults}, {"accesses emulated", kEmulatedAccesses},
    {"accesses to devices", kMmioAccesses},
};

constexpr ReportRow kExits[] = {
    {"page fault", kExitPageFault},
    {"CR3 load", kExitCr3},
    {"INVLPG", kExitInvlpg},
    {"control register", kExitControl},
    {"guest table write", kExitTableWrite},
    {"guest table read", kExitTableRead},
    {"nested violation", kExitNestedViolation},
    {"hypercall", kExitHypercall},
    {"device access", kExitMmio},
    {"total", +[](const ReplayResult& r) { return r.counters.exits(); }, "exits", "exits"},
    {"per million references",
     +[](const ReplayResult& r) { return 1e6 * per(r.counters.exits(), r.counters[kAccesses]); },
     "exits_per_million", "exits"},
};

constexpr ReportRow kWalkRows[] = {
    {"walks", kWalks},
    {"guest tables", +[](const ReplayResult& r) { return r.counters.over_levels(kWalkGuestL1); },
     "walk_guest", "references"},
    {"nested tables", +[](const ReplayResult& r) { return r.counters.over_levels(kWalkHostL1); },
     "walk_host", "references"},
    {"shadow tables", +[](const ReplayResult& r) { return r.counters.over_levels(kWalkShadowL1); },
     "walk_shadow", "references"},
    {"total", +[](const ReplayResult& r) { return r.counters.walk_references(); },
     "walk_references", "references"},
    {"per walk",
     +[](const ReplayResult& r) { return per(r.counters.walk_references(), r.counters[kWalks]); },
     "references_per_walk", "references"},
};

constexpr ReportRow kLevels[] = {
    {"guest, level 1", kWalkGuestL1},   {"guest, level 2", kWalkGuestL2},
    {"guest, level 3", kWalkGuestL3},   {"guest, level 4", kWalkGuestL4},
    {"guest, level 5", kWalkGuestL5},   {"nested, level 1", kWalkHostL1},
    {"nested, level 2", kWalkHostL2},   {"nested, level 3", kWalkHostL3},
    {"nested, level 4", kWalkHostL4},   {"nested, level 5", kWalkHostL5},
    {"shadow, level 1", kWalkShadowL1}, {"shadow, level 2", kWalkShadowL2},
    {"shadow, level 3", kWalkShadowL3}, {"shadow, level 4", kWalkShadowL4},
    {"shadow, level 5", kWalkShadowL5},
};

constexpr ReportRow kGuestFaultRows[] = {
    {"anonymous memory", GuestStat::kFaultsAnonymous},
    {"files", GuestStat::kFaultsFile},
    {"copy on write", GuestStat::kFaultsCow},
    {"rights", GuestStat::kFaultsRights},
    {"huge pages", GuestStat::kFaultsHuge},
    {"refused", GuestStat::kFaultsRefused},
};

constexpr ReportRow kGuest[] = {
    {"pages mapped", GuestStat::kPagesMapped},
    {"  around a fault", GuestStat::kPagesAround},
    {"  huge", GuestStat::kHugePagesMapped},
    {"pages copied", GuestStat::kPagesCopied},
    {"pages unmapped", GuestStat::kPagesUnmapped},
    {"huge pages split", GuestStat::kHugePagesSplit},
    {"page cache hits", GuestStat::kPageCacheHits},
    {"page cache misses", GuestStat::kPageCacheMisses},
    {"tables made", GuestStat::kTables},
    {"tables freed", GuestStat::kTablesFreed},
    {"table stores", kTableWrites},
    {"  to set entries", GuestStat::kEntryStores},
    {"  to clear new tables", GuestStat::kClearingStores},
    {"table loads", kTableReads},
    {"CR3 loads", kCr3Loads},
    {"INVLPG", kInvlpgs},
    {"remote invalidations", GuestStat::kShootdowns},
    {"forks", GuestStat::kForks},
    {"execs", GuestStat::kExecs},
    {"exits", GuestStat::kExits},
    {"context switches", GuestStat::kContextSwitches},
    {"system calls", GuestStat::kSyscalls},
    {"interrupts", GuestStat::kInterrupts},
    {"kernel's own accesses", GuestStat::kKernelAccesses},
    {"processes now", GuestStat::kProcesses},
    {"frames in use", GuestStat::kFramesInUse},
    {"frames in use, most", GuestStat::kFramesPeak},
};

template <auto kDimension, size_t kLevel>
uint64_t found(const ReplayResult& r) {
  return (r.caches.*kDimension)[kLevel];
}
constexpr ReportRow kCaches[] = {
    {"guest entries, L1", found<&CacheStats::guest, 0>, "cache_guest_l1", "references"},
    {"guest entries, L2", found<&CacheStats::guest, 1>, "cache_guest_l2", "references"},
    {"guest entries, last level", found<&CacheStats::guest, 2>, "cache_guest_llc", "references"},
    {"guest entries, memory", found<&CacheStats::guest, 3>, "cache_guest_memory", "references"},
    {"nested entries, L1", found<&CacheStats::host, 0>, "cache_host_l1", "references"},
    {"nested entries, L2", found<&CacheStats::host, 1>, "cache_host_l2", "references"},
    {"nested entries, last level", found<&CacheStats::host, 2>, "cache_host_llc", "references"},
    {"nested entries, memory", found<&CacheStats::host, 3>, "cache_host_memory", "references"},
    {"shadow entries, L1", found<&CacheStats::shadow, 0>, "cache_shadow_l1", "references"},
    {"shadow entries, L2", found<&CacheStats::shadow, 1>, "cache_shadow_l2", "references"},
    {"shadow entries, last level", found<&CacheStats::shadow, 2>, "cache_shadow_llc", "references"},
    {"shadow entries, memory", found<&CacheStats::shadow, 3>, "cache_shadow_memory", "references"},
    {"data, L1", found<&CacheStats::data, 0>, "cache_data_l1", "references"},
    {"data, L2", found<&CacheStats::data, 1>, "cache_data_l2", "references"},
    {"data, last level", found<&CacheStats::data, 2>, "cache_data_llc", "references"},
    {"data, memory", found<&CacheStats::data, 3>, "cache_data_memory", "references"},
};

constexpr ReportRow kVmm[] = {
    {"shadow entries filled", kShadowFills},
    {"  of large pages", kShadowLargeFills},
    {"  ahead of any access", kPrefetched},
    {"device markers written", kMmioEntries},
    {"shadow pages created", kShadowPagesCreated},
    {"shadow pages reused", kShadowPagesReused},
    {"shadow pages zapped", kShadowPagesZapped},
    {"  to stay within budget", kShadowPagesRecycled},
    {"large pages splintered", kSplintered},
    {"entries write-protected", kWriteProtected},
    {"table writes applied", kTableWritesApplied},
    {"tables let out of sync", kUnsync},
    {"tables synced", kSyncedPages},
    {"entries dropped by sync", kSyncDroppedEntries},
    {"tables dropped, flooded", kFlooded},
    {"roots found in cache", kRootCacheHits},
    {"roots built", kRootCacheMisses},
    {"directory reads", kDirectoryReads},
    {"directory writes", kDirectoryWrites},
    {"nested entries filled", kNestedFills},
    {"  of large pages", kNestedLargeFills},
    {"paravirtual updates", kPvUpdates},
    {"paravirtual updates refused", kPvUpdatesRefused},
    {"paravirtual roots pinned", kPvPinned},
    {"switched to nested", kSwitchedToNested},
    {"switched to shadow", kSwitchedToShadow},
    {"guest frames backed", kFramesBacked},
    {"frames marked dirty", kDirtyMarked},
};

constexpr ReportRow kTables[] = {
    {"VMM's", kTableBytes},
    {"VMM's, largest", kTableBytesPeak},
};

constexpr ReportGroup kGroups[] = {
    {"memory", "memory", kReferences},
    {"TLB", "tlb", kTlb},
    {"page faults", "faults", kFaults},
    {"exits to the VMM, by cause", "exits", kExits},
    {"memory references of page walks", "walks", kWalkRows},
    {"the same by level", "walk_levels", kLevels, /*detail=*/true},
    {"where walks and data were found", "caches", kCaches, /*detail=*/true},
    {"what the guest's faults were", "guest_faults", kGuestFaultRows},
    {"the guest's own work", "guest", kGuest},
    {"the VMM's work", "vmm", kVmm},
    {"page-table bytes", "tables", kTables},
};

}  // namespace

absl::string_view ReportRow::name() const {
  if (const Counter* c = std::get_if<Counter>(&source)) return info(*c).name;
  if (const GuestStat* g = std::get_if<GuestStat>(&source)) return guest_row(*g).name;
  return key;
}

absl::string_view ReportRow::unit_name() const {
  if (const Counter* c = std::get_if<Counter>(&source)) return info(*c).unit;
  if (const GuestStat* g = std::get_if<GuestStat>(&source)) return guest_row(*g).unit;
  return unit;
}

uint64_t ReportRow::whole(const ReplayResult& result) const {
  if (const Counter* c = std::get_if<Counter>(&source)) return result.counters[*c];
  if (const GuestStat* g = std::get_if<GuestStat>(&source)) return result.guest[*g];
  return std::get<Whole>(source)(result);
}

double ReportRow::ratio(const ReplayResult& result) const {
  return std::get<Ratio>(source)(result);
}

absl::Span<const ReportGroup> report_groups() { return kGroups; }

}  // namespace gnomon::tools

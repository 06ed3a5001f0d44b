// SPDX-License-Identifier: Apache-2.0
#include "tools/report_rows.h"

namespace gnomon::tools {
namespace {

using enum Counter;

double per(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

constexpr ReportRow kReferences[] = {
    {"accesses", kAccesses},
};

constexpr ReportRow kTlb[] = {
    {"hits, level 1", kTlbHitsL1},
    {"hits, level 2", kTlbHitsL2},
    {"misses", kTlbMisses},
    {"misses per 1000",
     +[](const BackendResult& r) {
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
    {"total", +[](const BackendResult& r) { return r.counters.exits(); }, "exits", "exits"},
    {"per million references",
     +[](const BackendResult& r) { return 1e6 * per(r.counters.exits(), r.counters[kAccesses]); },
     "exits_per_million", "exits"},
};

constexpr ReportRow kWalkRows[] = {
    {"walks", kWalks},
    {"guest tables", +[](const BackendResult& r) { return r.counters.over_levels(kWalkGuestL1); },
     "walk_guest", "references"},
    {"nested tables", +[](const BackendResult& r) { return r.counters.over_levels(kWalkHostL1); },
     "walk_host", "references"},
    {"shadow tables", +[](const BackendResult& r) { return r.counters.over_levels(kWalkShadowL1); },
     "walk_shadow", "references"},
    {"total", +[](const BackendResult& r) { return r.counters.walk_references(); },
     "walk_references", "references"},
    {"per walk",
     +[](const BackendResult& r) { return per(r.counters.walk_references(), r.counters[kWalks]); },
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

constexpr ReportRow kGuest[] = {
    {"pages mapped", +[](const BackendResult& r) { return r.guest.pages_mapped; },
     "guest_pages_mapped", "pages"},
    {"rights added", +[](const BackendResult& r) { return r.guest.rights_added; },
     "guest_rights_added", "entries"},
    {"table stores", kTableWrites},
    {"  to set entries", +[](const BackendResult& r) { return r.guest.entry_stores; },
     "guest_entry_stores", "writes"},
    {"  to clear new tables", +[](const BackendResult& r) { return r.guest.clearing_stores; },
     "guest_clearing_stores", "writes"},
    {"table loads", kTableReads},
    {"CR3 loads", kCr3Loads},
    {"INVLPG", kInvlpgs},
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
    {"guest's", +[](const BackendResult& r) { return r.guest.tables * bytes_of(PageSize::k4K); },
     "guest_table_bytes", "bytes"},
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
    {"the guest's own work", "guest", kGuest},
    {"the VMM's work", "vmm", kVmm},
    {"page-table bytes", "tables", kTables},
};

}  // namespace

absl::string_view ReportRow::name() const {
  return is_counter() ? info(std::get<Counter>(source)).name : key;
}

absl::string_view ReportRow::unit_name() const {
  return is_counter() ? info(std::get<Counter>(source)).unit : unit;
}

uint64_t ReportRow::whole(const BackendResult& result) const {
  if (is_counter()) return result.counters[std::get<Counter>(source)];
  return std::get<Whole>(source)(result);
}

double ReportRow::ratio(const BackendResult& result) const {
  return std::get<Ratio>(source)(result);
}

absl::Span<const ReportGroup> report_groups() { return kGroups; }

}  // namespace gnomon::tools

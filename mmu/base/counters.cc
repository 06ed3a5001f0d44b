// SPDX-License-Identifier: Apache-2.0
#include "gnomon/base/counters.h"

#include <algorithm>

namespace gnomon {
namespace {

using enum Counter;
constexpr auto kSum = CounterKind::kSum;

constexpr std::array<CounterInfo, kCounterCount> kTable = {{
    {kExitPageFault, "exit_page_fault", "exits", kSum, "page faults that reached the VMM"},
    {kExitCr3, "exit_cr3", "exits", kSum, "trapped loads of CR3"},
    {kExitInvlpg, "exit_invlpg", "exits", kSum, "trapped INVLPG and INVPCID"},
    {kExitControl, "exit_control", "exits", kSum, "trapped changes of CR0, CR4 or EFER"},
    {kExitTableWrite, "exit_table_write", "exits", kSum, "writes to a write-protected guest table"},
    {kExitTableRead, "exit_table_read", "exits", kSum,
     "reads of a guest table answered by a fully trapping virtual page directory"},
    {kExitNestedViolation, "exit_nested_violation", "exits", kSum,
     "EPT violations or nested page faults"},
    {kExitHypercall, "exit_hypercall", "exits", kSum, "hypercalls of a paravirtual guest"},
    {kExitMmio, "exit_mmio", "exits", kSum, "accesses to a device region"},
    {kHiddenFaults, "hidden_faults", "faults", kSum,
     "page faults the guest never saw: the shadow was only missing"},
    {kReflectedFaults, "reflected_faults", "faults", kSum,
     "page faults that reached the VMM and were injected into the guest"},
    {kGuestFaults, "guest_faults", "faults", kSum, "page faults delivered to the guest, in any way"},
    {kMmioAccesses, "mmio_accesses", "accesses", kSum, "accesses that ended at a device region"},
    {kEmulatedAccesses, "emulated_accesses", "accesses", kSum,
     "accesses the VMM completed itself because no entry could grant exactly that right"},
    {kShadowFills, "shadow_fills", "entries", kSum, "shadow entries written for a faulting access"},
    {kShadowLargeFills, "shadow_large_fills", "entries", kSum, "of these, large-page entries"},
    {kPrefetched, "prefetched", "entries", kSum, "shadow entries written ahead of any access"},
    {kShadowPagesCreated, "shadow_pages_created", "pages", kSum, "shadow pages made"},
    {kShadowPagesReused, "shadow_pages_reused", "pages", kSum,
     "shadow pages found in the cache and linked again"},
    {kShadowPagesZapped, "shadow_pages_zapped", "pages", kSum, "shadow pages thrown away"},
    {kShadowPagesRecycled, "shadow_pages_recycled", "pages", kSum,
     "of these, thrown away to stay within the byte budget"},
    {kSplintered, "splintered", "entries", kSum, "guest large pages broken into smaller shadow pages"},
    {kUnsync, "unsync", "pages", kSum, "leaf tables let out of sync after a write"},
    {kSyncedPages, "synced_pages", "pages", kSum, "out-of-sync tables brought back in sync"},
    {kSyncDroppedEntries, "sync_dropped_entries", "entries", kSum, "entries dropped while syncing"},
    {kFlooded, "flooded", "pages", kSum, "shadow pages dropped because the guest kept writing the table"},
    {kWriteProtected, "write_protected", "entries", kSum, "entries that lost write permission to the VMM"},
    {kRootCacheHits, "root_cache_hits", "loads", kSum, "CR3 loads served from a cached root"},
    {kRootCacheMisses, "root_cache_misses", "loads", kSum, "CR3 loads that had to find or build a root"},
    {kTableWritesApplied, "table_writes_applied", "writes", kSum,
     "trapped table writes carried out and propagated to the shadow"},
    {kDirectoryReads, "directory_reads", "reads", kSum, "reads answered by the virtual page directory"},
    {kDirectoryWrites, "directory_writes", "writes", kSum, "writes taken by the virtual page directory"},
    {kMmioEntries, "mmio_entries", "entries", kSum, "markers written for device pages"},
    {kNestedFills, "nested_fills", "entries", kSum, "EPT or NPT entries written"},
    {kNestedLargeFills, "nested_large_fills", "entries", kSum, "of these, large-page entries"},
    {kPvUpdates, "pv_updates", "updates", kSum, "paravirtual table updates validated and applied"},
    {kPvUpdatesRefused, "pv_updates_refused", "updates", kSum, "paravirtual table updates refused"},
    {kPvPinned, "pv_pinned", "tables", kSum, "tables validated as a root"},
    {kSwitchedToNested, "switched_to_nested", "tables", kSum, "agile paging: tables moved to nested mode"},
    {kSwitchedToShadow, "switched_to_shadow", "tables", kSum, "agile paging: tables moved back to shadow mode"},
    {kFramesBacked, "frames_backed", "frames", kSum, "guest frames given a host frame on first touch"},
    {kDirtyMarked, "dirty_marked", "frames", kSum, "first writes to dirty-logged frames"},
    {kTlbFlushRequests, "tlb_flush_requests", "requests", kSum,
     "times the VMM asked all vCPUs to flush their TLBs"},
    {kWalkGuestL1, "walk_guest_l1", "references", kSum, "guest table entries read at level 1"},
    {kWalkGuestL2, "walk_guest_l2", "references", kSum, "guest table entries read at level 2"},
    {kWalkGuestL3, "walk_guest_l3", "references", kSum, "guest table entries read at level 3"},
    {kWalkGuestL4, "walk_guest_l4", "references", kSum, "guest table entries read at level 4"},
    {kWalkGuestL5, "walk_guest_l5", "references", kSum, "guest table entries read at level 5"},
    {kWalkHostL1, "walk_host_l1", "references", kSum, "nested table entries read at level 1"},
    {kWalkHostL2, "walk_host_l2", "references", kSum, "nested table entries read at level 2"},
    {kWalkHostL3, "walk_host_l3", "references", kSum, "nested table entries read at level 3"},
    {kWalkHostL4, "walk_host_l4", "references", kSum, "nested table entries read at level 4"},
    {kWalkHostL5, "walk_host_l5", "references", kSum, "nested table entries read at level 5"},
    {kWalkShadowL1, "walk_shadow_l1", "references", kSum, "shadow table entries read at level 1"},
    {kWalkShadowL2, "walk_shadow_l2", "references", kSum, "shadow table entries read at level 2"},
    {kWalkShadowL3, "walk_shadow_l3", "references", kSum, "shadow table entries read at level 3"},
    {kWalkShadowL4, "walk_shadow_l4", "references", kSum, "shadow table entries read at level 4"},
    {kWalkShadowL5, "walk_shadow_l5", "references", kSum, "shadow table entries read at level 5"},
    {kWalks, "walks", "walks", kSum, "page walks made by the hardware"},
    {kAccesses, "accesses", "accesses", kSum, "memory accesses presented to the vCPU"},
    {kTlbHitsL1, "tlb_hits_l1", "hits", kSum, "accesses that hit a first-level TLB"},
    {kTlbHitsL2, "tlb_hits_l2", "hits", kSum, "accesses that hit the second-level TLB"},
    {kTlbMisses, "tlb_misses", "misses", kSum, "accesses that needed a page walk"},
    {kTlbHitsL1At2M, "tlb_hits_l1_2m", "hits", kSum, "of the first-level hits, those on 2M entries"},
    {kTlbHitsL1At1G, "tlb_hits_l1_1g", "hits", kSum, "of the first-level hits, those on 1G entries"},
    {kTlbHitsL2At2M, "tlb_hits_l2_2m", "hits", kSum, "of the second-level hits, those on 2M entries"},
    {kTlbHitsL2At1G, "tlb_hits_l2_1g", "hits", kSum, "of the second-level hits, those on 1G entries"},
    {kTlbMissesAt2M, "tlb_misses_2m", "misses", kSum, "of the misses, those that found a 2M translation"},
    {kTlbMissesAt1G, "tlb_misses_1g", "misses", kSum, "of the misses, those that found a 1G translation"},
    {kCr3Loads, "cr3_loads", "loads", kSum, "CR3 loads by the guest"},
    {kInvlpgs, "invlpgs", "instructions", kSum, "INVLPG and INVPCID by the guest"},
    {kTableWrites, "table_writes", "writes", kSum, "stores of the guest to page tables"},
    {kTableReads, "table_reads", "reads", kSum, "loads of the guest from page tables"},
    {kTableBytes, "table_bytes", "bytes", CounterKind::kLevel,
     "memory the VMM holds in shadow or nested tables"},
    {kTableBytesPeak, "table_bytes_peak", "bytes", CounterKind::kPeak, "largest table_bytes so far"},
}};

consteval bool in_order() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<size_t>(kTable[i].id) != i || kTable[i].name.empty()) return false;
  }
  return true;
}
static_assert(in_order(), "a counter is missing or out of order");

}  // namespace

const std::array<CounterInfo, kCounterCount>& counter_table() { return kTable; }

uint64_t Counters::over_levels(Counter first) const {
  uint64_t sum = 0;
  for (size_t i = 0; i < 5; ++i) sum += values_[static_cast<size_t>(first) + i];
  return sum;
}

uint64_t Counters::exits() const {
  uint64_t sum = 0;
  for (auto c = static_cast<size_t>(kExitPageFault); c <= static_cast<size_t>(kExitMmio); ++c) {
    sum += values_[c];
  }
  return sum;
}

uint64_t Counters::walk_references() const {
  return over_levels(kWalkGuestL1) + over_levels(kWalkHostL1) + over_levels(kWalkShadowL1);
}

Counters& Counters::operator+=(const Counters& other) {
  for (size_t i = 0; i < kCounterCount; ++i) {
    if (kTable[i].kind == kSum) {
      values_[i] += other.values_[i];
    } else {
      values_[i] = std::max(values_[i], other.values_[i]);
    }
  }
  return *this;
}

}  // namespace gnomon

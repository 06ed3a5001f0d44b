// SPDX-License-Identifier: Apache-2.0
#include "gnomon/guest/stats.h"

namespace gnomon {
namespace {

using S = GuestStat;
constexpr bool kSum = false, kLevel = true;

constexpr std::array<GuestStatInfo, kGuestStatCount> kTable = {{
    {S::kFaultsAnonymous, "faults_anonymous", "faults", kSum,
     "4K pages of anonymous memory touched first"},
    {S::kFaultsFile, "faults_file", "faults", kSum,
     "pages of files and shared memory touched first"},
    {S::kFaultsCow, "faults_cow", "faults", kSum,
     "writes to private pages that were copied, or whose last owner regained the right"},
    {S::kFaultsRights, "faults_rights", "faults", kSum,
     "pages that were there with too few rights"},
    {S::kFaultsHuge, "faults_huge", "faults", kSum, "2M pages of anonymous memory touched first"},
    {S::kFaultsRefused, "faults_refused", "faults", kSum, "accesses that the mapping forbids"},
    {S::kPagesMapped, "pages_mapped", "pages", kSum, "4K entries made for the page that faulted"},
    {S::kPagesAround, "pages_around", "pages", kSum, "4K entries made around it (fault-around)"},
    {S::kPagesCopied, "pages_copied", "pages", kSum, "4K pages copied on write"},
    {S::kPagesCleared, "pages_cleared", "pages", kSum, "4K pages cleared or read in"},
    {S::kPagesUnmapped, "pages_unmapped", "pages", kSum, "4K pages whose entries were dropped"},
    {S::kHugePagesMapped, "huge_pages_mapped", "pages", kSum, "2M entries made"},
    {S::kHugePagesSplit, "huge_pages_split", "pages", kSum, "2M entries that became tables"},
    {S::kPageCacheHits, "page_cache_hits", "pages", kSum,
     "faults that found the page in the page cache"},
    {S::kPageCacheMisses, "page_cache_misses", "pages", kSum, "faults that read the page in"},
    {S::kTables, "tables", "tables", kSum, "page-table pages allocated"},
    {S::kTablesFreed, "tables_freed", "tables", kSum, "page-table pages freed"},
    {S::kEntryStores, "entry_stores", "stores", kSum,
     "stores to page-table entries, clearing aside"},
    {S::kClearingStores, "clearing_stores", "stores", kSum, "stores that cleared new tables"},
    {S::kForks, "forks", "processes", kSum, "address spaces copied"},
    {S::kExecs, "execs", "processes", kSum, "address spaces started anew"},
    {S::kExits, "exits", "processes", kSum, "processes that ended"},
    {S::kContextSwitches, "context_switches", "switches", kSum,
     "changes of process on a processor"},
    {S::kSyscalls, "syscalls", "calls", kSum, "system calls"},
    {S::kInterrupts, "interrupts", "interrupts", kSum, "timer and device interrupts"},
    {S::kShootdowns, "shootdowns", "interrupts", kSum, "processors interrupted to flush their TLB"},
    {S::kKernelAccesses, "kernel_accesses", "accesses", kSum,
     "accesses of the kernel by virtual address"},
    {S::kProcesses, "processes", "processes", kLevel, "processes alive"},
    {S::kFramesInUse, "frames_in_use", "frames", kLevel, "4K frames of guest memory in use"},
    {S::kFramesPeak, "frames_peak", "frames", kLevel, "most frames that were in use at once"},
}};

consteval bool in_order() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (kTable[i].id != static_cast<S>(i) || kTable[i].name.empty()) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

const std::array<GuestStatInfo, kGuestStatCount>& guest_stat_table() { return kTable; }

}  // namespace gnomon

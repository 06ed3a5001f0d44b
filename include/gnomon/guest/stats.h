// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_GUEST_STATS_H_
#define GNOMON_GUEST_STATS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

// What the guest's kernel did, one row a number, as for the engine's counters.

namespace gnomon {

enum class GuestStat : uint8_t {
  // Page faults, by what they became.
  kFaultsAnonymous, kFaultsFile, kFaultsCow, kFaultsRights, kFaultsHuge, kFaultsRefused,
  // Pages.
  kPagesMapped, kPagesAround, kPagesCopied, kPagesCleared, kPagesUnmapped, kHugePagesMapped, kHugePagesSplit,
  kPageCacheHits, kPageCacheMisses,
  // Tables.
  kTables, kTablesFreed, kEntryStores, kClearingStores,
  // Processes and the kernel's life.
  kForks, kExecs, kExits, kContextSwitches, kSyscalls, kInterrupts, kShootdowns, kKernelAccesses,
  // Levels.
  kProcesses, kFramesInUse, kFramesPeak,
  kCount,
};
inline constexpr size_t kGuestStatCount = static_cast<size_t>(GuestStat::kCount);

struct GuestStatInfo {
  GuestStat id;
  absl::string_view name;  ///< snake_case, stable
  absl::string_view unit;
  bool level;  ///< a current amount or peak, not a sum
  absl::string_view description;
};
const std::array<GuestStatInfo, kGuestStatCount>& guest_stat_table();

class GuestStats {
 public:
  uint64_t& operator[](GuestStat s) { return values_[static_cast<size_t>(s)]; }
  uint64_t operator[](GuestStat s) const { return values_[static_cast<size_t>(s)]; }

 private:
  std::array<uint64_t, kGuestStatCount> values_{};
};

}  // namespace gnomon

#endif  // GNOMON_GUEST_STATS_H_

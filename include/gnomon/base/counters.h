// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_BASE_COUNTERS_H_
#define GNOMON_BASE_COUNTERS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

// Every counter of the engine is one row here; printing, JSON and documentation follow from the rows.
// An exit is counted once, under the reason that carried control to the VMM; what the VMM then did is
// counted besides (so hidden_faults + reflected_faults + … explain exit_page_fault).

namespace gnomon {

enum class Counter : uint16_t {
  // Exits by reason.
  kExitPageFault, kExitCr3, kExitInvlpg, kExitControl, kExitTableWrite, kExitTableRead,
  kExitNestedViolation, kExitHypercall, kExitMmio,
  // What became of faults.
  kHiddenFaults, kReflectedFaults, kGuestFaults, kMmioAccesses, kEmulatedAccesses,
  // Shadow tables.
  kShadowFills, kShadowLargeFills, kPrefetched, kShadowPagesCreated, kShadowPagesReused,
  kShadowPagesZapped, kShadowPagesRecycled, kSplintered, kUnsync, kSyncedPages,
  kSyncDroppedEntries, kFlooded, kWriteProtected, kRootCacheHits, kRootCacheMisses,
  kTableWritesApplied, kDirectoryReads, kDirectoryWrites, kMmioEntries,
  // Nested tables and paravirtual tables.
  kNestedFills, kNestedLargeFills, kPvUpdates, kPvUpdatesRefused, kPvPinned, kSwitchedToNested,
  kSwitchedToShadow,
  // Host memory.
  kFramesBacked, kDirtyMarked, kTlbFlushRequests,
  // Memory references of walks, by dimension and level (level 1 is the leaf of 4K pages).
  kWalkGuestL1, kWalkGuestL2, kWalkGuestL3, kWalkGuestL4, kWalkGuestL5,
  kWalkHostL1, kWalkHostL2, kWalkHostL3, kWalkHostL4, kWalkHostL5,
  kWalkShadowL1, kWalkShadowL2, kWalkShadowL3, kWalkShadowL4, kWalkShadowL5,
  kWalks,
  // TLB, as seen by the vCPU.
  kAccesses, kTlbHitsL1, kTlbHitsL2, kTlbMisses,
  kTlbHitsL1At2M, kTlbHitsL1At1G, kTlbHitsL2At2M, kTlbHitsL2At1G, kTlbMissesAt2M, kTlbMissesAt1G,
  // The guest's own actions.
  kCr3Loads, kInvlpgs, kTableWrites, kTableReads,
  // Levels (not sums).
  kTableBytes, kTableBytesPeak,
  kCount,
};
inline constexpr size_t kCounterCount = static_cast<size_t>(Counter::kCount);

/// Sum: grows with events. Level: a current amount. Peak: the largest level seen.
enum class CounterKind : uint8_t { kSum, kLevel, kPeak };

struct CounterInfo {
  Counter id;
  absl::string_view name;  ///< snake_case, stable: the key in JSON and CSV
  absl::string_view unit;
  CounterKind kind;
  absl::string_view description;
};

/// The rows, in the order of the enumeration.
const std::array<CounterInfo, kCounterCount>& counter_table();
inline const CounterInfo& info(Counter c) { return counter_table()[static_cast<size_t>(c)]; }

/// One set of counters. Not thread-safe: each vCPU has its own, and reports add them up.
class Counters {
 public:
  uint64_t& operator[](Counter c) { return values_[static_cast<size_t>(c)]; }
  uint64_t operator[](Counter c) const { return values_[static_cast<size_t>(c)]; }
  /// The counter of `level` (1..5) in a row of five that starts at `first`, such as kWalkGuestL1.
  uint64_t& at_level(Counter first, unsigned level) {
    return values_[static_cast<size_t>(first) + level - 1];
  }
  /// Sum of a row of five.
  uint64_t over_levels(Counter first) const;
  uint64_t exits() const;            ///< all exit_* together
  uint64_t walk_references() const;  ///< all walk_* rows of five together
  Counters& operator+=(const Counters& other);  ///< sums add; levels and peaks take the larger
  void reset() { values_.fill(0); }

 private:
  std::array<uint64_t, kCounterCount> values_{};
};

}  // namespace gnomon

#endif  // GNOMON_BASE_COUNTERS_H_

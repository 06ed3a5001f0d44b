// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_DEFECTS_H_
#define MMU_DEFECTS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

// Deliberate bugs, to show that the auditor and the tests would notice the real ones. Each breaks
// one invariant of docs/architecture.md at the place where the code keeps it:
//
//   if (page.role == role && !defect(Defect::kRoleNotComparedOnReuse)) …
//
// Only a build with GNOMON_DEFECTS can switch one on. In every other build `defect` is a constant
// false and the branch is not compiled. tests/defects runs them all.

namespace gnomon {

enum class Defect : uint8_t {
  kNone,
  kRoleNotComparedOnReuse,
  kFrameDerivedNotStored,
  kRootNotRevalidatedAfterReclaim,
  kWritableMappingOfTrackedTable,
  kRightsOfLeafOnly,
  kDirtyNotRequired,
  kAccessedNotSet,
  kMmioOverPresentEntry,
  kUnownedFrameMapped,
  kStaleAfterSync,
  kReclaimFatal,
  kDirectoryReadShowsHost,
  kCrossEntryWriteSecondHalfLost,
  kLargePageOverTable,
  kCount,
};

struct DefectInfo {
  Defect id;
  absl::string_view name;
  int invariant;  ///< the one it breaks (docs/architecture.md)
  absl::string_view description;
};

inline constexpr std::array<DefectInfo, static_cast<size_t>(Defect::kCount)> kDefects{{
    {Defect::kNone, "none", 0, "no defect"},
    {Defect::kRoleNotComparedOnReuse, "role_not_compared_on_reuse", 4,
     "a shadow page is reused for the same guest frame whatever its role"},
    {Defect::kFrameDerivedNotStored, "frame_derived_not_stored", 4,
     "the guest frame of a shadow entry is computed from its place, not from what was stored"},
    {Defect::kRootNotRevalidatedAfterReclaim, "root_not_revalidated_after_reclaim", 5,
     "after making room the old root is walked on without another look"},
    {Defect::kWritableMappingOfTrackedTable, "writable_mapping_of_tracked_table", 2,
     "a frame that holds a tracked table in sync is mapped writable"},
    {Defect::kRightsOfLeafOnly, "rights_of_leaf_only", 3,
     "the rights of upper guest entries are ignored"},
    {Defect::kDirtyNotRequired, "dirty_not_required", 6,
     "an entry becomes writable while the guest's dirty flag is clear"},
    {Defect::kAccessedNotSet, "accessed_not_set", 6,
     "a mapping is made without setting the guest's accessed flag"},
    {Defect::kMmioOverPresentEntry, "mmio_over_present_entry", 7,
     "an MMIO marker is written over a present entry, which stays in the reverse map"},
    {Defect::kUnownedFrameMapped, "unowned_frame_mapped", 1,
     "a ballooned frame is not dropped from the hardware's tables"},
    {Defect::kStaleAfterSync, "stale_after_sync", 3,
     "bringing an out-of-sync table up to date skips an entry"},
    {Defect::kReclaimFatal, "reclaim_fatal", 9,
     "when the table budget is used up the access fails instead of recycling"},
    {Defect::kDirectoryReadShowsHost, "directory_read_shows_host", 8,
     "a guest that reads its table sees the hardware's entry"},
    {Defect::kCrossEntryWriteSecondHalfLost, "cross_entry_write_second_half_lost", 3,
     "a table write that touches two entries updates the first only"},
    {Defect::kLargePageOverTable, "large_page_over_table", 2,
     "a large writable mapping is made over a region that holds a tracked table"},
}};
static_assert([] {
  for (size_t i = 0; i < kDefects.size(); ++i) {
    if (kDefects[i].id != static_cast<Defect>(i)) return false;
  }
  return true;
}());

#ifdef GNOMON_DEFECTS
/// The one that is on. Set it before the machine under test exists.
inline Defect active_defect = Defect::kNone;
inline bool defect(Defect d) { return active_defect == d; }
#else
constexpr bool defect(Defect) { return false; }
#endif

}  // namespace gnomon

#endif  // MMU_DEFECTS_H_

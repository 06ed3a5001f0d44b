// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TLB_PRESETS_H_
#define GNOMON_TLB_PRESETS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/tlb/config.h"

namespace gnomon {

/// The TLBs and walk caches of a processor, or of another simulator. Geometries are as published;
/// no vendor publishes its replacement policy, so that LRU is assumed throughout.
struct TlbPreset {
  absl::string_view name;
  absl::string_view description;
  absl::string_view source;  ///< where the TLB figures are from
  TlbConfig (*tlb)();
  WalkCacheConfig (*walk_caches)();
};

/// skylake, icelake, goldencove, gracemont, zen2 … zen5, champsim, dmt, tiny, none.
absl::Span<const TlbPreset> tlb_presets();
/// InvalidArgument names what is known.
absl::StatusOr<TlbPreset> find_tlb_preset(absl::string_view name);

}  // namespace gnomon

#endif  // GNOMON_TLB_PRESETS_H_

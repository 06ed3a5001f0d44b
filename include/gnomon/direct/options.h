// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_DIRECT_OPTIONS_H_
#define GNOMON_DIRECT_OPTIONS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace gnomon {

/// Options of the `direct` backend, as text "batch=32,pins=64,trap=off".
struct DirectOptions {
  /// Table updates that one hypercall carries (1 to 65536). Larger: fewer exits, as long as the guest
  /// updates many entries between two operations that need them applied.
  uint32_t batch = 32;
  /// Roots that stay validated while no vCPU uses them (1 to 65536), least recently loaded first out.
  /// Larger: CR3 loads validate less often, and more frames stay barred from being mapped writable.
  uint32_t pins = 64;
  /// The guest does not know that it is virtualized: instead of making hypercalls it stores into its
  /// tables, each store traps, and CR3 loads and INVLPG exit as on a machine without hypercalls.
  bool trap = false;

  friend bool operator==(const DirectOptions&, const DirectOptions&) = default;
};

/// InvalidArgument: an unknown key, or a value out of range.
absl::StatusOr<DirectOptions> parse_direct_options(absl::string_view text);

}  // namespace gnomon

#endif  // GNOMON_DIRECT_OPTIONS_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_SHADOW_CREATE_H_
#define MMU_SHADOW_CREATE_H_

#include "gnomon/backend.h"

namespace gnomon::shadow {

/// Options: unsync, prefetch, roots, flood, large, update, mmio, directory=write-trap|full-trap,
/// flags=eager|lazy, budget=BYTES (K, M, G). See ShadowOptions.
absl::StatusOr<std::unique_ptr<Backend>> create_shadow(P2m& p2m, absl::string_view options);

/// Options: writes (AgileOptions::write_threshold), interval, period, prefetch, roots, large, budget.
absl::StatusOr<std::unique_ptr<Backend>> create_agile(P2m& p2m, absl::string_view options);

}  // namespace gnomon::shadow

#endif  // MMU_SHADOW_CREATE_H_

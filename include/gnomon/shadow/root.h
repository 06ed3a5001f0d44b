// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_SHADOW_ROOT_H_
#define GNOMON_SHADOW_ROOT_H_

#include <optional>

#include "gnomon/backend.h"

namespace gnomon {

/// Where the processor of `cpu`, which is attached to `backend`, starts its walks, if the backend keeps tables of its own
/// in place of the guest's (shadow, vtlb, agile): 64-bit entries, four levels (five if the guest has five), made as accesses need
/// them. Hpa(): none yet. Bit 0 set: the guest's own root for now (agile). nullopt: it keeps none. For those who explain,
/// while no processor runs.
std::optional<Hpa> shadow_root(const Backend& backend, const VcpuState& cpu);

}  // namespace gnomon

#endif  // GNOMON_SHADOW_ROOT_H_

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/shadow/root.h"
#include "mmu/shadow/shadow.h"
#include "mmu/vtlb/vtlb.h"

namespace gnomon {

std::optional<Hpa> shadow_root(const Backend& backend, const VcpuState& cpu) {
  if (const auto* shadow = dynamic_cast<const shadow::ShadowMmu*>(&backend)) {
    return shadow->hardware_root(cpu);
  }
  if (const auto* vtlb = dynamic_cast<const VtlbMmu*>(&backend)) return vtlb->hardware_root(cpu);
  return std::nullopt;
}

}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_FPU_STATE_H_
#define VMM_CPU_FPU_STATE_H_

#include <array>
#include <cstdint>

#include "gnomon/vmm/cpu_state.h"

// Images in memory of the x87 and vector registers (SDM vol. 1, 8.1.10 and 10.5.1).

namespace gnomon::vmm {

/// The image of FXSAVE. Bytes that are reserved are 0.
using FxImage = std::array<uint8_t, 512>;
inline constexpr unsigned kFxBytes32 = 288, kFxBytes64 = 416;  ///< up to XMM7, up to XMM15

/// `wide`: last instruction and data pointers have 64 bits (FXSAVE64), not 32 bits and a selector.
FxImage fx_image(const CpuState& s, bool wide);
/// Takes the registers from an image; XMM8 to 15 only if `all`. False, and nothing has changed:
/// reserved bits of MXCSR are set.
bool load_fx_image(CpuState& s, const FxImage& image, bool wide, bool all);

/// The x87's environment: 14 bytes of 16-bit code, 28 of others. `real`: the layout of real and
/// virtual-8086 mode, where the code segment is at `code_base`.
struct EnvironmentForm {
  bool wide = true;  ///< 28 bytes
  bool real = false;
  uint64_t code_base = 0;
  unsigned bytes() const { return wide ? 28 : 14; }
};
std::array<uint8_t, 28> environment_image(const X87State& s, const EnvironmentForm& form);
void load_environment_image(X87State& s, const std::array<uint8_t, 28>& image,
                            const EnvironmentForm& form);

/// The full tag word: two bits for each register (SDM vol. 1, 8.1.7).
uint16_t full_tags(const X87State& s);

}  // namespace gnomon::vmm

#endif  // VMM_CPU_FPU_STATE_H_

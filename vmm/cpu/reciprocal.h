// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_RECIPROCAL_H_
#define VMM_CPU_RECIPROCAL_H_

#include <cstdint>

// RCPPS and RSQRTPS: the manual allows a relative error of 1.5 * 2^-12 (SDM vol. 2), and each
// processor has its own. Here they give the single-precision number nearest to 1 / x and 1 /
// sqrt(x), made with integers: the same bits on every host.

namespace gnomon::vmm {

/// Single-precision numbers as their bits. Denormal operands count as zeros, results that would be
/// denormal become zeros; NaNs become quiet.
uint32_t reciprocal(uint32_t x);
/// Of a number below zero: the default NaN.
uint32_t reciprocal_root(uint32_t x);

}  // namespace gnomon::vmm

#endif  // VMM_CPU_RECIPROCAL_H_

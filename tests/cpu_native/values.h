// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CPU_NATIVE_VALUES_H_
#define TESTS_CPU_NATIVE_VALUES_H_

#include <cstdint>

#include "tests/native_cpu/state.h"
#include "tests/scenario/random.h"

namespace gnomon::vmm::native {

/// A value for a register or for memory: often at an edge of some width.
uint64_t edge_value(scenario::Random& rng);
/// Memory: edges of all widths, numbers in the three floating formats.
void fill_image(scenario::Random& rng, Image& image);
/// x87 and SSE registers and their controls; exceptions unmasked now and then.
FxImage random_fx(scenario::Random& rng);

}  // namespace gnomon::vmm::native

#endif  // TESTS_CPU_NATIVE_VALUES_H_

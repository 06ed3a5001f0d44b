// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "tests/cpu/flat_machine.h"
#include "tests/cpu/sse_native.h"

namespace gnomon::vmm {
namespace {

using O = SseOpcode;

constexpr O kMoves[] = {
    {0, 0x28}, {0, 0x29}, {0x66, 0x28}, {0x66, 0x29},          // MOVAPS, MOVAPD
    {0, 0x10}, {0, 0x11}, {0x66, 0x10}, {0x66, 0x11},          // MOVUPS, MOVUPD
    {0xf2, 0x10}, {0xf2, 0x11}, {0xf3, 0x10}, {0xf3, 0x11},    // MOVSD, MOVSS
    {0x66, 0x6f}, {0x66, 0x7f}, {0xf3, 0x6f}, {0xf3, 0x7f},    // MOVDQA, MOVDQU
    {0xf3, 0x7e}, {0x66, 0xd6},                                // MOVQ
    {0, 0x12}, {0, 0x16}, {0, 0x13, O::kMemory}, {0, 0x17, O::kMemory},  // halves
    {0x66, 0x12, O::kMemory}, {0x66, 0x13, O::kMemory}, {0x66, 0x16, O::kMemory}, {0x66, 0x17, O::kMemory},
    {0, 0x2b, O::kMemory}, {0x66, 0x2b, O::kMemory}, {0x66, 0xe7, O::kMemory},  // not temporal
    {0, 0xe7, O::kMemory, false, O::kMmx}, {0, 0xc3, O::kMemory, false, O::kToGpr},
    {0xf2, 0xf0, O::kMemory},                                  // LDDQU
    {0x66, 0x6e, O::kRegister, false, O::kFromGpr}, {0x66, 0x6e, O::kMemory},  // MOVD, MOVQ
    {0x66, 0x7e, O::kRegister, false, O::kFromGpr}, {0x66, 0x7e, O::kMemory},
    {0, 0x6e, O::kRegister, false, O::kGprToMmx}, {0, 0x6e, O::kMemory, false, O::kMmx},
    {0, 0x7e, O::kRegister, false, O::kGprToMmx}, {0, 0x7e, O::kMemory, false, O::kMmx},
    {0, 0x6f, O::kBoth, false, O::kMmx}, {0, 0x7f, O::kBoth, false, O::kMmx},
    {0xf3, 0xd6, O::kRegister, false, O::kMmxToXmm}, {0xf2, 0xd6, O::kRegister, false, O::kXmmToMmx},
};

TEST(SseMove, MovesAreTheHosts) { compare_with_host(kMoves, false, 6, 400); }

}  // namespace
}  // namespace gnomon::vmm

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_DEVICES_APIC_REGISTERS_H_
#define TESTS_DEVICES_APIC_REGISTERS_H_

#include <cstdint>

namespace gnomon::vmm {

/// Registers of the local APIC, from its base address (SDM vol. 3, table 10-1).
inline constexpr uint32_t kTpr = 0x80, kPpr = 0xa0, kEoi = 0xb0, kLdr = 0xd0, kDfr = 0xe0,
                          kSvr = 0xf0, kEsr = 0x280, kIcrLow = 0x300, kIcrHigh = 0x310,
                          kLvtTimer = 0x320, kLint0 = 0x350, kLint1 = 0x360, kLvtError = 0x370,
                          kInitial = 0x380, kCurrent = 0x390, kDivide = 0x3e0;

}  // namespace gnomon::vmm

#endif  // TESTS_DEVICES_APIC_REGISTERS_H_

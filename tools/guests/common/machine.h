// SPDX-License-Identifier: Apache-2.0
//
// The end of a run, and the interrupt controller and timer of a PC.
#ifndef GUESTS_COMMON_MACHINE_H_
#define GUESTS_COMMON_MACHINE_H_

#include <stdint.h>

/// Ends the machine through the debug-exit port 0xf4 with this status (QEMU's is (status << 1) | 1).
/// On a machine without that device the processor stops.
_Noreturn void machine_exit(unsigned status);

enum { kIrqBase = 32, kIrqTimer = kIrqBase + 0, kIrqSpurious = kIrqBase + 7 };

/// Both 8259 to vectors kIrqBase and up, everything masked.
void pic_init(void);
void pic_unmask(unsigned irq);

/// Tells the controllers that the interrupt with this vector was handled.
void pic_done(unsigned vector);

/// Channel 0 of the 8254 interrupts `hz` times a second (19 to 10000).
void pit_start(unsigned hz);

#endif  // GUESTS_COMMON_MACHINE_H_

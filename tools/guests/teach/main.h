// SPDX-License-Identifier: Apache-2.0
#ifndef GUESTS_TEACH_MAIN_H_
#define GUESTS_TEACH_MAIN_H_

#include <stdint.h>

#include "teach/calls.h"

extern char command_line[kCommandLineBytes];

/// Timer interrupts since the start.
extern volatile unsigned ticks;

/// Entered from the boot code with what the loader left in EAX and EBX.
_Noreturn void kernel_main(uint32_t magic, uint32_t info_address);

/// The first process ended: prints the counters and ends the machine.
_Noreturn void machine_finished(int code);

#endif  // GUESTS_TEACH_MAIN_H_

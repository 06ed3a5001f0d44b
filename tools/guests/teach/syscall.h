// SPDX-License-Identifier: Apache-2.0
#ifndef GUESTS_TEACH_SYSCALL_H_
#define GUESTS_TEACH_SYSCALL_H_

#include "frame.h"

/// Does the system call that the registers in `frame` ask for, and puts the answer there.
void system_call(TrapFrame* frame);

#endif  // GUESTS_TEACH_SYSCALL_H_

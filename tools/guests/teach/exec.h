// SPDX-License-Identifier: Apache-2.0
//
// Programs: their images are linked into the kernel.
#ifndef GUESTS_TEACH_EXEC_H_
#define GUESTS_TEACH_EXEC_H_

#include "teach/process.h"

/// Gives `process`, which has no address space, one with the program `name`, and makes `frame`
/// start it. False if there is no such program or no memory.
bool exec_into(Process* process, unsigned tag, const char* name, uintptr_t argument,
               TrapFrame* frame);

/// Makes the current process another program. On failure it stays what it was.
bool exec(const char* name, uintptr_t argument, TrapFrame* frame);

#endif  // GUESTS_TEACH_EXEC_H_

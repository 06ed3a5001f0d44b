// SPDX-License-Identifier: Apache-2.0
//
// Traps of the small guests: one handler for each vector, in C.
#ifndef GUESTS_COMMON_TRAPS_H_
#define GUESTS_COMMON_TRAPS_H_

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"

typedef void (*TrapHandler)(TrapFrame* frame);

/// Null: the guest says what happened and ends with FAIL.
void trap_handle(unsigned vector, TrapHandler handler);

/// For a handler that only notes what it saw: the last trap. `count` is for the caller to clear.
typedef struct Seen {
  volatile unsigned count;
  volatile uintptr_t vector, error, address, ip, cs, flags, sp;
} Seen;
extern Seen seen;

/// Where `note_and_resume` continues; PROVOKE below sets it, and where the provoking instruction
/// is.
extern volatile uintptr_t resume_at, provoked_at;

/// Notes the trap in `seen` and continues at `resume_at`.
void note_and_resume(TrapFrame* frame);

/// Notes the trap and continues where the trap says.
void note(TrapFrame* frame);

/// Clears `seen` and runs `code` with `value` in EAX (RAX), where it may leave anything. The first
/// instruction is expected to trap; its address is in `provoked_at`, that behind the code in
/// `resume_at`.
#ifdef __x86_64__
#define GUESTS_MOVE "movq"
#else
#define GUESTS_MOVE "movl"
#endif
#define PROVOKE(code, value)                                                                      \
  do {                                                                                            \
    uintptr_t accumulator_ = (value);                                                             \
    seen.count = 0;                                                                               \
    __asm__ volatile(GUESTS_MOVE " $1f, provoked_at\n\t" GUESTS_MOVE " $2f, resume_at\n1:\t" code \
                                 "\n2:"                                                           \
                     : "+a"(accumulator_)                                                         \
                     :                                                                            \
                     : "memory", "cc");                                                           \
  } while (0)

/// Whether exactly one trap was seen, with this vector and error code, and the saved address is
/// that of the instruction (a fault) or of the next one (a trap).
bool saw_fault(unsigned vector, uintptr_t error);
bool saw_trap(unsigned vector);

#endif  // GUESTS_COMMON_TRAPS_H_

// SPDX-License-Identifier: Apache-2.0
//
// Traps of the small guests: one handler for each vector, in C.
#ifndef GUESTS_COMMON_TRAPS_H_
#define GUESTS_COMMON_TRAPS_H_

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"

typedef void (*TrapHandler)(TrapFrame *frame);

/// Null: the guest says what happened and ends with FAIL.
void trap_handle(unsigned vector, TrapHandler handler);

/// For a handler that only notes what it saw: the last trap. `count` is for the caller to clear.
typedef struct Seen {
  volatile unsigned count;
  volatile uintptr_t vector, error, address, ip, cs, flags, sp;
} Seen;
extern Seen seen;

/// Where `note_and_resume` continues; PROVOKE below sets it, and where the provoking instruction is.
extern volatile uintptr_t resume_at, provoked_at;

/// Notes the trap in `seen` and continues at `resume_at`.
void note_and_resume(TrapFrame *frame);

/// Notes the trap and continues where the trap says.
void note(TrapFrame *frame);

/// Runs `code`, whose first instruction is expected to trap. May change eax (rax).
#ifdef __x86_64__
#define GUESTS_MOVE "movq"
#else
#define GUESTS_MOVE "movl"
#endif
#define PROVOKE(code)                                                     \
  do {                                                                    \
    seen.count = 0;                                                       \
    __asm__ volatile(GUESTS_MOVE " $1f, provoked_at\n\t" GUESTS_MOVE      \
                                 " $2f, resume_at\n"                      \
                                 "1:\t" code "\n2:"                       \
                     :                                                    \
                     :                                                    \
                     : "memory", "cc", GUESTS_ACCUMULATOR);               \
  } while (0)
#ifdef __x86_64__
#define GUESTS_ACCUMULATOR "rax"
#else
#define GUESTS_ACCUMULATOR "eax"
#endif

#endif  // GUESTS_COMMON_TRAPS_H_

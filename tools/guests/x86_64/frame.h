// SPDX-License-Identifier: Apache-2.0
//
// What trap_entry.S leaves on the stack, lowest address first.
#ifndef GUESTS_X86_64_FRAME_H_
#define GUESTS_X86_64_FRAME_H_

#include <stdbool.h>
#include <stdint.h>

typedef struct TrapFrame {
  uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
  uint64_t di, si, bp, bx, dx, cx, ax;
  uint64_t vector, error;
  uint64_t ip, cs, flags, sp, ss;  // the processor's: always all five
} TrapFrame;

static inline bool frame_from_user(const TrapFrame* frame) { return (frame->cs & 3) != 0; }

/// The stack pointer of the code that was interrupted.
static inline uintptr_t frame_stack_pointer(const TrapFrame* frame) { return frame->sp; }

/// What trap_entry.S calls; each program defines its own.
void trap(TrapFrame* frame);

#endif  // GUESTS_X86_64_FRAME_H_

// SPDX-License-Identifier: Apache-2.0
//
// What trap_entry.S leaves on the stack, lowest address first.
#ifndef GUESTS_X86_32_FRAME_H_
#define GUESTS_X86_32_FRAME_H_

#include <stdbool.h>
#include <stdint.h>

typedef struct TrapFrame {
  uint32_t di, si, bp, unused, bx, dx, cx, ax;  // as PUSHA stores them
  uint32_t es, ds;
  uint32_t vector, error;
  uint32_t ip, cs, flags;  // from here on the processor's
  uint32_t sp, ss;         // only if the trap came from user mode
} TrapFrame;

static inline bool frame_from_user(const TrapFrame* frame) { return (frame->cs & 3) != 0; }

/// The stack pointer of the code that was interrupted.
static inline uintptr_t frame_stack_pointer(const TrapFrame* frame) {
  return frame_from_user(frame) ? frame->sp : (uintptr_t)&frame->sp;
}

/// What trap_entry.S calls; each program defines its own.
void trap(TrapFrame* frame);

#endif  // GUESTS_X86_32_FRAME_H_

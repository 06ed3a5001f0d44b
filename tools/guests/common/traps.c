// SPDX-License-Identifier: Apache-2.0
#include "common/traps.h"

#include <stddef.h>

#include "common/console.h"
#include "common/cpu.h"
#include "common/machine.h"

static TrapHandler handlers[256];
Seen seen;
volatile uintptr_t resume_at, provoked_at;

void trap_handle(unsigned vector, TrapHandler handler) { handlers[vector] = handler; }

void note(TrapFrame* frame) {
  seen.vector = frame->vector;
  seen.error = frame->error;
  seen.address = read_cr2();
  seen.ip = frame->ip;
  seen.cs = frame->cs;
  seen.flags = frame->flags;
  // Where the interrupted code's stack was: below the frame if the privilege stayed the same.
  seen.sp = frame_stack_pointer(frame);
  seen.count++;
}

void note_and_resume(TrapFrame* frame) {
  note(frame);
  frame->ip = resume_at;
}

bool saw_fault(unsigned vector, uintptr_t error) {
  return seen.count == 1 && seen.vector == vector && seen.error == error && seen.ip == provoked_at;
}

bool saw_trap(unsigned vector) {
  return seen.count == 1 && seen.vector == vector && seen.error == 0 && seen.ip == resume_at;
}

void trap(TrapFrame* frame) {
  if (handlers[frame->vector] != NULL) {
    handlers[frame->vector](frame);
    return;
  }
  print("FAIL unexpected trap %lu, error %lx, at %lx, cr2 %lx\n", (unsigned long)frame->vector,
        (unsigned long)frame->error, (unsigned long)frame->ip, (unsigned long)read_cr2());
  machine_exit(1);
}

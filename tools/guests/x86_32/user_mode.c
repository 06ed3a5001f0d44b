// SPDX-License-Identifier: Apache-2.0
#include "user_mode.h"

#include "common/traps.h"
#include "descriptors.h"

// ring3.S
uintptr_t enter_ring3(void (*code)(void), void* stack_end);
_Noreturn void return_from_ring3(uintptr_t value);

static void leave(TrapFrame* frame) {
  note(frame);
  return_from_ring3(frame->ax);
}

void user_mode_init(void) {
  gate_allow_user(kLeaveVector);
  trap_handle(kLeaveVector, leave);
}

uintptr_t call_user(void (*code)(void), void* stack_end) { return enter_ring3(code, stack_end); }

// SPDX-License-Identifier: Apache-2.0
//
// To ring 3 and back.
#ifndef GUESTS_X86_32_USER_MODE_H_
#define GUESTS_X86_32_USER_MODE_H_

#include <stdint.h>

enum { kLeaveVector = 0x80 };

/// Lets INT 0x80 in ring 3 end call_user.
void user_mode_init(void);

/// Runs `code` in ring 3 with this stack (its end); it returns by leave_ring3(). Gives that value.
uintptr_t call_user(void (*code)(void), void* stack_end);

/// For code in ring 3.
_Noreturn static inline void leave_ring3(uintptr_t value) {
  __asm__ volatile("int $0x80" : : "a"(value) : "memory");
  __builtin_unreachable();
}

#endif  // GUESTS_X86_32_USER_MODE_H_

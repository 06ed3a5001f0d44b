// SPDX-License-Identifier: Apache-2.0
#ifndef GUESTS_TEACH_PANIC_H_
#define GUESTS_TEACH_PANIC_H_

/// A mistake of the kernel: says so and ends the machine with status 2.
_Noreturn void panic(const char* why);

#endif  // GUESTS_TEACH_PANIC_H_

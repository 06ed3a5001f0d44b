// SPDX-License-Identifier: Apache-2.0
//
// What programs of the teaching kernels have: system calls and a way to print.
#ifndef GUESTS_USER_SYSTEM_H_
#define GUESTS_USER_SYSTEM_H_

#include <stddef.h>
#include <stdint.h>

#include "teach/calls.h"

/// The program. `argument` is what exec passed; what it returns is the exit code.
int main(unsigned long argument);

_Noreturn void leave(int code);
int fork(void);
int wait(int* code);
int process_number(void);
void yield(void);
unsigned long time(void);

/// Becomes another program; returns only if that fails.
void exec(const char* name, unsigned long argument);

/// Zeroed memory, or null.
void* grow(size_t bytes);
void* map(size_t bytes);
int unmap(void* address);

/// The kernel's command line; empty if it does not fit.
void command_line(char* buffer, size_t size);

/// Formats as in common/format.h, at most 255 characters, and writes to the console in one call.
void print(const char* text, ...);

/// Pseudo-random numbers, the same on every machine.
static inline uint32_t next_random(uint32_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

/// Adds a word to a checksum that depends on the order.
static inline uint32_t mix(uint32_t sum, uint32_t word) { return (sum << 5 | sum >> 27) ^ word; }

#endif  // GUESTS_USER_SYSTEM_H_

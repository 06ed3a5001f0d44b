// SPDX-License-Identifier: Apache-2.0
#include "user/system.h"

#include <stdarg.h>

#include "common/format.h"
#include "common/string.h"

// One instruction for each kernel: INT 0x80 with 32 bits, SYSCALL, which overwrites RCX and R11,
// with 64.
static intptr_t call(uintptr_t number, uintptr_t first, uintptr_t second) {
  intptr_t result;
#ifdef __x86_64__
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(first), "S"(second)
                   : "rcx", "r11", "memory");
#else
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second) : "memory");
#endif
  return result;
}

static void* address_or_null(intptr_t result) { return result == -1 ? NULL : (void*)result; }

_Noreturn void leave(int code) {
  call(kCallExit, (uintptr_t)code, 0);
  for (;;) {
  }
}

int fork(void) { return (int)call(kCallFork, 0, 0); }
int wait(int* code) { return (int)call(kCallWait, (uintptr_t)code, 0); }
int process_number(void) { return (int)call(kCallProcess, 0, 0); }
void yield(void) { call(kCallYield, 0, 0); }
unsigned long time(void) { return (unsigned long)call(kCallTime, 0, 0); }
void* grow(size_t bytes) { return address_or_null(call(kCallGrow, bytes, 0)); }
void* map(size_t bytes) { return address_or_null(call(kCallMap, bytes, 0)); }
int unmap(void* address) { return (int)call(kCallUnmap, (uintptr_t)address, 0); }

void exec(const char* name, unsigned long argument) {
  char padded[kNameBytes];  // the kernel reads all of it
  memset(padded, 0, sizeof padded);
  for (size_t i = 0; i < sizeof padded - 1 && name[i]; i++) padded[i] = name[i];
  call(kCallExec, (uintptr_t)padded, argument);
}

void command_line(char* buffer, size_t size) {
  buffer[0] = 0;
  call(kCallCommandLine, (uintptr_t)buffer, size);
}

void print(const char* text, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, text);
  size_t size = format(line, sizeof line, text, arguments);
  va_end(arguments);
  call(kCallWrite, (uintptr_t)line, size);
}

// SPDX-License-Identifier: Apache-2.0
#include "arch.h"
#include "common/cpu.h"
#include "descriptors.h"

extern char syscall_entry[];

// What GS leads to while the kernel runs; syscall_entry.S knows the order.
typedef struct EntryState {
  uintptr_t kernel_stack;
  uintptr_t user_stack;
} EntryState;
static EntryState entry_state;

enum { kFlagsDirection = 1 << 10, kFlagsNested = 1 << 14 };

void syscall_init(void) {
  write_msr(MSR_EFER, read_msr(MSR_EFER) | kEferSyscall);
  write_msr(MSR_STAR, (uint64_t)kUserBase << 48 | (uint64_t)kKernelCode << 32);
  write_msr(MSR_LSTAR, (uintptr_t)syscall_entry);
  // Cleared on entry; above all interrupts, since the stack is not the kernel's yet.
  write_msr(MSR_SFMASK,
            kFlagsInterrupt | kFlagsTrap | kFlagsDirection | kFlagsNested | kFlagsAlignment);
  write_msr(MSR_GS_BASE, (uintptr_t)&entry_state);
  write_msr(MSR_KERNEL_GS_BASE, 0);  // the programs' GS
}

void entry_stack_set(uintptr_t top) {
  set_kernel_stack(top);
  entry_state.kernel_stack = top;
}

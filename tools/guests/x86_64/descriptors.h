// SPDX-License-Identifier: Apache-2.0
//
// Segments, task state and interrupt gates of 64-bit guests.
#ifndef GUESTS_X86_64_DESCRIPTORS_H_
#define GUESTS_X86_64_DESCRIPTORS_H_

#include <stdint.h>

// The order is SYSCALL's and SYSRET's: kernel code and data; a base, user data, user code.
enum {
  kKernelCode = 0x08,
  kKernelData = 0x10,
  kUserBase = 0x18 | 3,  // SYSRET adds 8 for SS and 16 for CS
  kUserData = 0x20 | 3,
  kUserCode = 0x28 | 3,
  kTaskState = 0x30,  // two entries
  kNotPresentSegment = 0x40,
  kSegmentCount = 9,
};

typedef struct __attribute__((packed)) DescriptorTable {
  uint16_t limit;
  uint64_t base;
} DescriptorTable;

/// Segments, one TSS, and gates to trap_entry.S for all 256 vectors; loads them all. Double faults
/// get a stack of their own (IST 1), since they often mean that the stack is bad.
void descriptors_init(void);

/// Lets user mode raise this vector by INT.
void gate_allow_user(unsigned vector);

/// The stack that a trap from user mode starts on (its end, as stacks grow down).
void set_kernel_stack(uintptr_t top);

/// Where the stack for double faults lies.
extern uint8_t double_fault_stack[];
enum { kDoubleFaultStackBytes = 4096 };

#endif  // GUESTS_X86_64_DESCRIPTORS_H_

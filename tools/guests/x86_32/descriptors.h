// SPDX-License-Identifier: Apache-2.0
//
// Segments, task state and interrupt gates of 32-bit guests.
#ifndef GUESTS_X86_32_DESCRIPTORS_H_
#define GUESTS_X86_32_DESCRIPTORS_H_

#include <stdint.h>

enum {
  kKernelCode = 0x08,
  kKernelData = 0x10,
  kUserCode = 0x18 | 3,
  kUserData = 0x20 | 3,
  kTaskState = 0x28,
  kSpareSegment = 0x30,  // for guests that try out segments of their own
  kSegmentCount = 7,
};

typedef struct __attribute__((packed)) DescriptorTable {
  uint16_t limit;
  uint32_t base;
} DescriptorTable;

/// Flat segments, one TSS, and gates to trap_entry.S for all 256 vectors; loads them all.
void descriptors_init(void);

/// Lets user mode raise this vector by INT.
void gate_allow_user(unsigned vector);

/// Stores a gate with a type of its own; 0 makes it not present.
void gate_set_type(unsigned vector, uint8_t type);

/// The stack that a trap from user mode starts on (its end, as stacks grow down).
void set_kernel_stack(uintptr_t top);

/// Stores an entry of the GDT as it is.
void segment_set(unsigned selector, uint64_t descriptor);

/// A segment from 0 to 4 GiB, one of whole pages from 0 up to page `last`, and one of bytes, at
/// most 1 MiB.
uint64_t segment_flat(uint8_t access);
uint64_t segment_pages(uint32_t last, uint8_t access);
uint64_t segment_bytes(uint32_t base, uint32_t limit, uint8_t access);

/// What was loaded, for guests that read it back.
extern DescriptorTable loaded_gdt, loaded_idt;

// Access bytes.
enum {
  kAccessCode = 0x9a,      // ring 0, readable
  kAccessData = 0x92,      // ring 0, writable
  kAccessUserCode = 0xfa,  // ring 3
  kAccessUserData = 0xf2,
  kAccessTask = 0x89,
  kGateInterrupt = 0x8e,
  kGateInterruptUser = 0xee,
};

#endif  // GUESTS_X86_32_DESCRIPTORS_H_

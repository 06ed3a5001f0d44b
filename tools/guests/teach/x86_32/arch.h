// SPDX-License-Identifier: Apache-2.0
//
// What the shared part of the kernel needs to know about 32-bit processors.
#ifndef GUESTS_TEACH_X86_32_ARCH_H_
#define GUESTS_TEACH_X86_32_ARCH_H_

#include <stdint.h>

#include "frame.h"

#define ARCH_NAME "32 bits, two-level page tables"

// Page tables: two levels of 1024 entries, 4 bytes each.
typedef uint32_t Entry;
enum { kLevels = 2, kIndexBits = 10, kUserEntries = 768 };
#define FRAME_MASK 0xfffff000u
#define ENTRY_NO_EXECUTE 0  // there is no such bit

// The address space: user below 3 GiB, all of physical memory above.
#define USER_END 0xc0000000u
#define DIRECT_MAP 0xc0000000u
#define MAP_START 0x60000000u
#define MAP_END 0x70000000u
#define USER_STACK_END 0x80000000u
enum { kMaxMemory = 256 << 20 };

#define SYSTEM_CALL_VECTOR 0x80

static inline void* to_virtual(uintptr_t physical) { return (void*)(physical + DIRECT_MAP); }
static inline uintptr_t to_physical(const void* address) { return (uintptr_t)address - DIRECT_MAP; }

/// The kernel's page directory: nothing in the user half.
extern Entry* kernel_root;

/// Makes it, loads it, and gives the first physical address that is not in use.
uintptr_t kernel_space_init(uintptr_t memory_end);
void kernel_space_load(void);

/// Makes this the space in use.
struct AddressSpace;
void space_load(struct AddressSpace* space);

/// Forgets what the TLB holds of this space, which is the one in use.
void tlb_flush_space(const struct AddressSpace* space);

/// The stack that the kernel is entered on from user mode.
void entry_stack_set(uintptr_t top);

/// Whatever the processor needs beyond descriptor tables.
void arch_init(void);

/// Timer interrupts `hz` times a second on vector kIrqTimer, as soon as interrupts are on.
void timer_start(unsigned hz);
void timer_done(void);

/// What the new process's stack must hold below its first trap frame.
void* context_new(TrapFrame* frame);

/// Saves the callee's registers and the stack pointer, and continues where `next` was saved.
void switch_stacks(void** save, void* next);

// System calls: number in EAX, arguments in EBX, ECX, EDX; the answer in EAX.
static inline uintptr_t frame_call(const TrapFrame* frame) { return frame->ax; }
static inline uintptr_t frame_argument(const TrapFrame* frame, int i) {
  return i == 0 ? frame->bx : i == 1 ? frame->cx : frame->dx;
}
static inline void frame_set_result(TrapFrame* frame, intptr_t result) {
  frame->ax = (uint32_t)result;
}

/// Makes `frame` start a program: `argument` is in EAX there.
void frame_start(TrapFrame* frame, uintptr_t entry, uintptr_t stack_end, uintptr_t argument);

#endif  // GUESTS_TEACH_X86_32_ARCH_H_

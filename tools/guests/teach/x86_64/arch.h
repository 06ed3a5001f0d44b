// SPDX-License-Identifier: Apache-2.0
//
// What the shared part of the kernel needs to know about 64-bit processors.
#ifndef GUESTS_TEACH_X86_64_ARCH_H_
#define GUESTS_TEACH_X86_64_ARCH_H_

#include <stdint.h>

#include "common/cpu.h"
#include "frame.h"

#define ARCH_NAME "64 bits, four-level page tables"

// Page tables: four levels of 512 entries, 8 bytes each.
typedef uint64_t Entry;
enum { kLevels = 4, kIndexBits = 9, kUserEntries = 256 };
#define FRAME_MASK 0x000ffffffffff000u

/// NO_EXECUTE, or 0 on a processor that does not have it.
extern Entry no_execute;
#define ENTRY_NO_EXECUTE no_execute

// The address space: user in the lower half but its last page, physical memory at the start of the
// upper one, the kernel in the last 2 GiB.
#define USER_END 0x00007ffffffff000u
#define DIRECT_MAP 0xffff800000000000u
#define KERNEL_LINKED 0xffffffff80000000u
#define MAP_START 0x0000100000000000u
#define MAP_END 0x0000100040000000u
#define USER_STACK_END 0x00007ffffffff000u
enum { kMaxMemory = 1 << 30 };

// The local APIC's page, where every processor starts with it.
#define APIC_ADDRESS 0xfee00000u

#define SYSTEM_CALL_VECTOR 0x80

static inline void* to_virtual(uintptr_t physical) { return (void*)(physical + DIRECT_MAP); }
static inline uintptr_t to_physical(const void* address) {
  uintptr_t value = (uintptr_t)address;
  return value >= KERNEL_LINKED ? value - KERNEL_LINKED : value - DIRECT_MAP;
}

/// The kernel's root table: nothing in the user half.
extern Entry* kernel_root;

/// Makes it, loads it, and gives the first physical address that is not in use.
uintptr_t kernel_space_init(uintptr_t memory_end);
void kernel_space_load(void);

/// Makes this the space in use.
struct AddressSpace;
void space_load(struct AddressSpace* space);

/// Forgets what the TLB holds of this space, which is the one in use.
void tlb_flush_space(const struct AddressSpace* space);

/// Turns PCIDs on if there are any.
void pcid_init(void);

/// Turns SYSCALL on.
void syscall_init(void);

/// The stack that the kernel is entered on from user mode, by a trap or by SYSCALL.
void entry_stack_set(uintptr_t top);

/// Whatever the processor needs beyond descriptor tables.
void arch_init(void);

/// Timer interrupts on vector kIrqTimer, as soon as interrupts are on: `hz` times a second from the
/// PIT; at a fixed count of the local APIC, if there is one, which makes it about as many.
void timer_start(unsigned hz);
void timer_done(void);

/// What the new process's stack must hold below its first trap frame.
void* context_new(TrapFrame* frame);

/// Saves the callee's registers and the stack pointer, and continues where `next` was saved.
void switch_stacks(void** save, void* next);

// System calls: number in RAX, arguments in RDI, RSI, RDX; the answer in RAX.
static inline uintptr_t frame_call(const TrapFrame* frame) { return frame->ax; }
static inline uintptr_t frame_argument(const TrapFrame* frame, int i) {
  return i == 0 ? frame->di : i == 1 ? frame->si : frame->dx;
}
static inline void frame_set_result(TrapFrame* frame, intptr_t result) {
  frame->ax = (uint64_t)result;
}

/// Makes `frame` start a program: `argument` is in RDI there.
void frame_start(TrapFrame* frame, uintptr_t entry, uintptr_t stack_end, uintptr_t argument);

#endif  // GUESTS_TEACH_X86_64_ARCH_H_

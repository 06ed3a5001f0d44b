// SPDX-License-Identifier: Apache-2.0
#include "descriptors.h"

typedef struct Gate {
  uint16_t offset_low, selector;
  uint8_t zero, type;
  uint16_t offset_high;
} Gate;

typedef struct TaskState {
  uint32_t back_link, esp0, ss0;
  uint32_t not_used[22];
  uint16_t debug_trap, io_map;
} TaskState;
_Static_assert(sizeof(TaskState) == 104, "the size that the processor expects");

extern char trap_entries[];  // 16 bytes each
enum { kTrapEntryBytes = 16 };

static uint64_t segments[kSegmentCount];
static Gate gates[256];
static TaskState task_state;
DescriptorTable loaded_gdt, loaded_idt;

uint64_t segment_bytes(uint32_t base, uint32_t limit, uint8_t access) {
  uint32_t low = (limit & 0xffff) | base << 16;
  uint32_t high = (base >> 16 & 0xff) | (uint32_t)access << 8 | (limit & 0xf0000) |
                  0x400000u /* 32-bit */ | (base & 0xff000000u);
  return (uint64_t)high << 32 | low;
}

uint64_t segment_pages(uint32_t last, uint8_t access) {
  return segment_bytes(0, last, access) | UINT64_C(1) << 55 /* limit in units of 4 KiB */;
}

uint64_t segment_flat(uint8_t access) { return segment_pages(0xfffff, access); }

void segment_set(unsigned selector, uint64_t descriptor) { segments[selector / 8] = descriptor; }

void gate_set_type(unsigned vector, uint8_t type) {
  uintptr_t entry = (uintptr_t)trap_entries + vector * kTrapEntryBytes;
  gates[vector] = (Gate){(uint16_t)entry, kKernelCode, 0, type, (uint16_t)(entry >> 16)};
}

void gate_allow_user(unsigned vector) { gate_set_type(vector, kGateInterruptUser); }

void set_kernel_stack(uintptr_t top) { task_state.esp0 = top; }

void descriptors_init(void) {
  segment_set(kKernelCode, segment_flat(kAccessCode));
  segment_set(kKernelData, segment_flat(kAccessData));
  segment_set(kUserCode, segment_flat(kAccessUserCode));
  segment_set(kUserData, segment_flat(kAccessUserData));
  task_state.ss0 = kKernelData;
  task_state.io_map = sizeof task_state;  // no I/O permission bitmap: no ports for user mode
  segment_set(kTaskState,
              segment_bytes((uintptr_t)&task_state, sizeof task_state - 1, kAccessTask) &
                  ~(UINT64_C(1) << 54));
  for (unsigned vector = 0; vector < 256; vector++) gate_set_type(vector, kGateInterrupt);

  loaded_gdt = (DescriptorTable){sizeof segments - 1, (uintptr_t)segments};
  loaded_idt = (DescriptorTable){sizeof gates - 1, (uintptr_t)gates};
  __asm__ volatile(
      "lgdt %0\n\t"
      "ljmp %2, $1f\n"  // CS is reloaded by a jump only
      "1:\n\t"
      "mov %3, %%ds\n\t"
      "mov %3, %%es\n\t"
      "mov %3, %%fs\n\t"
      "mov %3, %%gs\n\t"
      "mov %3, %%ss\n\t"
      "lidt %1\n\t"
      "ltr %w4"
      :
      : "m"(loaded_gdt), "m"(loaded_idt), "i"(kKernelCode), "r"(kKernelData), "r"(kTaskState)
      : "memory");
}

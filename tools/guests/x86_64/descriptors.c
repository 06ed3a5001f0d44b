// SPDX-License-Identifier: Apache-2.0
#include "descriptors.h"

typedef struct Gate {
  uint16_t offset_low, selector;
  uint8_t stack_table, type;
  uint16_t offset_middle;
  uint32_t offset_high, zero;
} Gate;
_Static_assert(sizeof(Gate) == 16, "the size that the processor expects");

typedef struct __attribute__((packed)) TaskState {
  uint32_t reserved0;
  uint64_t rsp[3];
  uint64_t reserved1;
  uint64_t ist[7];
  uint64_t reserved2;
  uint16_t reserved3, io_map;
} TaskState;
_Static_assert(sizeof(TaskState) == 104, "the size that the processor expects");

extern char trap_entries[];
enum { kTrapEntryBytes = 16, kDoubleFault = 8, kGateInterrupt = 0x8e, kGateInterruptUser = 0xee };

uint8_t double_fault_stack[kDoubleFaultStackBytes] __attribute__((aligned(16)));

static TaskState task_state;
static Gate gates[256];
static uint64_t segments[kSegmentCount] = {
    [kKernelCode / 8] = 0x00209a0000000000,        [kKernelData / 8] = 0x0000920000000000,
    [kUserData / 8] = 0x0000f20000000000,          [kUserCode / 8] = 0x0020fa0000000000,
    [kNotPresentSegment / 8] = 0x0000120000000000,
};

static void set_gate(unsigned vector, uint8_t type) {
  uintptr_t entry = (uintptr_t)trap_entries + vector * kTrapEntryBytes;
  gates[vector] = (Gate){.offset_low = (uint16_t)entry,
                         .selector = kKernelCode,
                         .stack_table = vector == kDoubleFault ? 1 : 0,
                         .type = type,
                         .offset_middle = (uint16_t)(entry >> 16),
                         .offset_high = (uint32_t)(entry >> 32)};
}

void gate_allow_user(unsigned vector) { set_gate(vector, kGateInterruptUser); }

void set_kernel_stack(uintptr_t top) { task_state.rsp[0] = top; }

void descriptors_init(void) {
  task_state.ist[0] = (uintptr_t)double_fault_stack + kDoubleFaultStackBytes;
  task_state.io_map = sizeof task_state;  // no I/O permission bitmap: no ports for user mode
  uintptr_t base = (uintptr_t)&task_state;
  segments[kTaskState / 8] = (sizeof task_state - 1) | (base & 0xffffff) << 16 |
                             UINT64_C(0x89) << 40 | (base >> 24 & 0xff) << 56;
  segments[kTaskState / 8 + 1] = base >> 32;
  for (unsigned vector = 0; vector < 256; vector++) set_gate(vector, kGateInterrupt);

  DescriptorTable gdt = {sizeof segments - 1, (uintptr_t)segments};
  DescriptorTable idt = {sizeof gates - 1, (uintptr_t)gates};
  __asm__ volatile(
      "lgdt %0\n\t"
      "pushq %2\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "lretq\n"  // CS is reloaded by a far return
      "1:\n\t"
      "mov %3, %%ds\n\t"
      "mov %3, %%es\n\t"
      "mov %3, %%ss\n\t"
      "mov %4, %%fs\n\t"
      "mov %4, %%gs\n\t"
      "lidt %1\n\t"
      "ltr %w5"
      :
      : "m"(gdt), "m"(idt), "i"(kKernelCode), "r"(kKernelData), "r"(0), "r"(kTaskState)
      : "memory", "rax");
}

// SPDX-License-Identifier: Apache-2.0
#include "arch.h"

#include "common/cpu.h"
#include "common/machine.h"
#include "common/string.h"
#include "descriptors.h"
#include "teach/space.h"

extern char trap_return[];

typedef struct Context {
  uint32_t di, si, bx, bp;  // as switch_stacks pops them
  uintptr_t ip;
} Context;

void* context_new(TrapFrame* frame) {
  Context* context = (Context*)frame - 1;
  memset(context, 0, sizeof *context);
  context->ip = (uintptr_t)trap_return;
  return context;
}

void frame_start(TrapFrame* frame, uintptr_t entry, uintptr_t stack_end, uintptr_t argument) {
  memset(frame, 0, sizeof *frame);
  frame->ip = entry;
  frame->cs = kUserCode;
  frame->ds = frame->es = frame->ss = kUserData;
  frame->sp = stack_end;
  frame->flags = kFlagsAlwaysOne | kFlagsInterrupt;
  frame->ax = argument;
}

void entry_stack_set(uintptr_t top) { set_kernel_stack(top); }

void arch_init(void) { gate_allow_user(SYSTEM_CALL_VECTOR); }

void timer_start(unsigned hz) {
  pic_init();
  pit_start(hz);
  pic_unmask(kIrqTimer - kIrqBase);
}

void timer_done(void) { pic_done(kIrqTimer); }

void space_load(AddressSpace* space) {
  uintptr_t root = to_physical(space->root);
  // A load flushes the TLB, except for the kernel's global pages: not without need.
  if (read_cr3() != root) write_cr3(root);
}

void tlb_flush_space(const AddressSpace* space) { write_cr3(to_physical(space->root)); }

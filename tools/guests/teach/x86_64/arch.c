// SPDX-License-Identifier: Apache-2.0
#include "arch.h"

#include "common/string.h"
#include "descriptors.h"

extern char trap_return[];

typedef struct Context {
  uint64_t r15, r14, r13, r12, bx, bp;  // as switch_stacks pops them
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
  frame->ss = kUserData;
  frame->sp = stack_end;
  frame->flags = kFlagsAlwaysOne | kFlagsInterrupt;
  frame->di = argument;
}

void arch_init(void) {
  pcid_init();
  syscall_init();
}

// SPDX-License-Identifier: Apache-2.0
//
// Exceptions in 64-bit mode: what differs from 32 bits, and the double fault from a bad stack,
// which gets a stack of its own through the interrupt stack table.
#include "small/guest.h"

enum {
  kDivide = 0,
  kDebug = 1,
  kBreakpoint = 3,
  kInvalidOpcode = 6,
  kNoDevice = 7,
  kDoubleFault = 8,
  kNotPresent = 11,
  kStack = 12,
  kProtection = 13,
  kPage = 14,
  kAnyVector = 0x55,
};

uintptr_t saved_stack;
static uintptr_t double_fault_frame;

static void stop_stepping(TrapFrame* frame) {
  note_and_resume(frame);
  frame->flags &= ~(uintptr_t)kFlagsTrap;
}

static void leave_bad_stack(TrapFrame* frame) {
  note_and_resume(frame);
  double_fault_frame = (uintptr_t)frame;
  frame->sp = saved_stack;
}

static void check_plain(void) {
  PROVOKE("divl %%eax", 0);
  check(saw_fault(kDivide, 0), "0: division by zero is a fault");
  PROVOKE("pushf\n\torq $0x100, (%%rsp)\n\tpopf\n\tnop", 0);
  check(saw_trap(kDebug), "1: a single step is a trap behind the instruction after popf");
  PROVOKE("int3", 0);
  check(saw_trap(kBreakpoint), "3: int3 is a trap");
  PROVOKE("ud2", 0);
  check(saw_fault(kInvalidOpcode, 0), "6: ud2 is a fault");
  PROVOKE(".byte 0xce", 0);
  check(saw_fault(kInvalidOpcode, 0), "6: into does not exist here");
  PROVOKE(".byte 0x06", 0);
  check(saw_fault(kInvalidOpcode, 0), "6: push ES does not exist here");
  PROVOKE("int $0x55", 0);
  check(saw_trap(kAnyVector), "int n is a trap without error code");
  write_cr0(read_cr0() | kCr0TaskSwitched);
  PROVOKE("fnop", 0);
  check(saw_fault(kNoDevice, 0), "7: floating point with CR0.TS is a fault");
  __asm__ volatile("clts");
}

static void check_frame(void) {
  // The processor aligns the stack and always pushes SS and RSP, whatever the privilege.
  uintptr_t before;
  __asm__ volatile("mov %%rsp, %0" : "=r"(before));
  PROVOKE("ud2", 0);
  check(seen.sp == before, "the frame has the stack pointer of the same privilege level");
}

static void check_addresses(void) {
  PROVOKE("movq (%%rax), %%rax", 0x0000800000000000);
  check(saw_fault(kProtection, 0), "13: an address that is not canonical");
  uintptr_t bad = 0x8000000000000000;
  seen.count = 0;
  __asm__ volatile(
      "movq $1f, provoked_at\n\t"
      "movq $2f, resume_at\n\t"
      "movq %%rbp, %%rax\n\t"
      "movq %0, %%rbp\n"
      "1:\tmovq (%%rbp), %%rcx\n"
      "2:\tmovq %%rax, %%rbp"
      :
      : "r"(bad)
      : "rax", "rcx", "memory");
  check(saw_fault(kStack, 0), "12: one that is not canonical, relative to RBP");
  PROVOKE("movl %%eax, %%es", kNotPresentSegment);
  check(saw_fault(kNotPresent, kNotPresentSegment), "11: a segment not present");
  PROVOKE("movl %%eax, %%es", 0x1000);
  check(saw_fault(kProtection, 0x1000), "13: a selector outside the table");
  PROVOKE("movq (%%rax), %%rax", 0x7000000123);
  check(saw_fault(kPage, 0) && seen.address == 0x7000000123, "14: read of a page not present");
  PROVOKE("movq %%rax, (%%rax)", 0x7000000123);
  check(saw_fault(kPage, kFaultWrite) && seen.address == 0x7000000123, "14: write of one");
}

static void check_double_fault(void) {
  trap_handle(kDoubleFault, leave_bad_stack);
  // No page is at this stack: 6 cannot be delivered, that is a 14, and neither can that one.
  PROVOKE("movq %%rsp, saved_stack\n\tmovq %%rax, %%rsp\n\tud2", 0x7000000000);
  check(seen.count == 1 && seen.vector == kDoubleFault && seen.error == 0,
        "8: a bad stack is a double fault");
  uintptr_t stack = (uintptr_t)double_fault_stack;
  check(double_fault_frame >= stack && double_fault_frame < stack + kDoubleFaultStackBytes,
        "8: its frame is on the stack that the task state names");
  check(seen.sp == 0x7000000000, "8: the saved stack pointer is the bad one");
}

unsigned guest_main(void) {
  for (unsigned vector = 0; vector < 32; vector++) trap_handle(vector, note_and_resume);
  trap_handle(kAnyVector, note_and_resume);
  trap_handle(kDebug, stop_stepping);
  check_plain();
  check_frame();
  check_addresses();
  check_double_fault();
  return finish("faults64");
}

// SPDX-License-Identifier: Apache-2.0
//
// SYSCALL: the processor has put the return address into RCX and the flags into R11, and turned
// interrupts off, but the stack is still the program's. GS leads to the kernel's own variables
// (struct EntryState in syscall_setup.c). The stack gets the same frame as from a trap, so that
// the rest of the kernel sees no difference.
#include "registers.S.h"

#define ENTRY_KERNEL_STACK 0
#define ENTRY_USER_STACK 8
#define USER_DATA 0x23
#define USER_CODE 0x2b
#define SYSTEM_CALL_VECTOR 0x80

  .text
  .globl syscall_entry
syscall_entry:
  swapgs
  movq %rsp, %gs:ENTRY_USER_STACK
  movq %gs:ENTRY_KERNEL_STACK, %rsp
  pushq $USER_DATA
  pushq %gs:ENTRY_USER_STACK
  pushq %r11
  pushq $USER_CODE
  pushq %rcx
  pushq $0
  pushq $SYSTEM_CALL_VECTOR
  push_registers
  cld
  movq %rsp, %rdi
  call trap
  pop_registers
  addq $16, %rsp
  // What exec or the same frame has: SYSRET takes it from RCX and R11. User addresses are all
  // canonical, because the user half ends a page before those that are not.
  popq %rcx
  addq $8, %rsp
  popq %r11
  popq %rsp
  swapgs
  sysretq

  .section .note.GNU-stack, "", @progbits

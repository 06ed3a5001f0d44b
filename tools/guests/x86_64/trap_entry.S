// SPDX-License-Identifier: Apache-2.0
//
// 256 entry points, one for each vector, 16 bytes apart. Each makes the stack look the same (vector
// and error code, zero where the processor pushes none) and goes on to one common part, which
// saves the registers and calls trap(TrapFrame *). GS belongs to the kernel only while it runs.

#include "registers.S.h"

  .text
  .globl trap_entries
  .balign 16
trap_entries:
  .set vector, 0
  .rept 256
  .balign 16
  .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
  .else
  pushq $0
  .endif
  pushq $vector
  jmp trap_common
  .set vector, vector + 1
  .endr

trap_common:
  testb $3, 24(%rsp)  // CS: from user mode?
  jz 1f
  swapgs
1:
  push_registers
  cld
  movq %rsp, %rdi
  call trap
  // A new process starts here, with a frame that fork built.
  .globl trap_return
trap_return:
  pop_registers
  addq $16, %rsp  // vector and error code
  testb $3, 8(%rsp)
  jz 1f
  swapgs
1:
  iretq

  .section .note.GNU-stack, "", @progbits

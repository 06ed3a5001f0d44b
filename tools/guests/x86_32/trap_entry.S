// SPDX-License-Identifier: Apache-2.0
//
// 256 entry points, one for each vector, 16 bytes apart. Each makes the stack look the same (vector
// and error code, zero where the processor pushes none) and goes on to one common part, which
// saves the registers and calls trap(TrapFrame *).

  .text
  .globl trap_entries
  .balign 16
trap_entries:
  .set vector, 0
  .rept 256
  .balign 16
  .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
  .else
  pushl $0
  .endif
  pushl $vector
  jmp trap_common
  .set vector, vector + 1
  .endr

trap_common:
  pushl %ds
  pushl %es
  pusha
  cld
  movl $0x10, %eax  // kKernelData
  movl %eax, %ds
  movl %eax, %es
  pushl %esp
  call trap
  addl $4, %esp
  // A new process starts here, with a frame that fork built.
  .globl trap_return
trap_return:
  popa
  popl %es
  popl %ds
  addl $8, %esp  // vector and error code
  iret

  .section .note.GNU-stack, "", @progbits

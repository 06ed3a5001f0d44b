// SPDX-License-Identifier: Apache-2.0
//
// Where the second processor starts: real mode, at the page that SIPI names (0x8000, where smp.c
// copies this). On to protected mode with a small descriptor table of its own.

#define TRAMPOLINE 0x8000

  .section .rodata
  .globl trampoline_start, trampoline_end
trampoline_start:
  .code16
  cli
  xorw %ax, %ax
  movw %ax, %ds
  lgdtl (gdt_register - trampoline_start + TRAMPOLINE)
  movl %cr0, %eax
  orl $1, %eax
  movl %eax, %cr0
  ljmpl $0x08, $(protected - trampoline_start + TRAMPOLINE)

  .code32
protected:
  movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl $second_stack_end, %esp
  cld
  call *second_entry

  .balign 8
gdt:
  .quad 0
  .quad 0x00cf9a000000ffff
  .quad 0x00cf92000000ffff
gdt_register:
  .word 23
  .long gdt - trampoline_start + TRAMPOLINE
trampoline_end:

  // An absolute address, because a relative one would not survive the copy.
  .balign 4
second_entry:
  .long second_main

  .bss
  .balign 16
  .skip 4096
second_stack_end:

  .section .note.GNU-stack, "", @progbits

// SPDX-License-Identifier: Apache-2.0
//
// From the Multiboot loader to the kernel's own addresses. The tables here map the first GiB
// three times: where it is, at the start of the direct map, and where the kernel is linked.
#include "boot.S.h"

  .section .boot, "ax"
  multiboot_header
  .globl _start
_start:
  enter_long_mode boot_root, low

low:
  movabsq $high, %rax
  jmp *%rax

  .balign 4096
boot_root:
  .quad boot_pointers + TABLE
  .fill 255, 8, 0
  .quad boot_pointers + TABLE  // 0xffff800000000000
  .fill 254, 8, 0
  .quad boot_pointers_high + TABLE  // 0xffffff8000000000
boot_pointers:
  .quad boot_directory + TABLE
  .fill 511, 8, 0
boot_pointers_high:
  .fill 510, 8, 0
  .quad boot_directory + TABLE  // 0xffffffff80000000
  .quad 0
boot_directory:
  first_gibibyte

  .text
high:
  cld
  movq $boot_stack_end, %rsp
  pushq $0
  popfq
  call kernel_main

  // void switch_stacks(void **save, void *next): the registers that a C function must keep.
  .globl switch_stacks
switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret

  .bss
  .balign 4096
  .skip 4096
boot_stack_end:

  .section .note.GNU-stack, "", @progbits

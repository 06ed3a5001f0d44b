// SPDX-License-Identifier: Apache-2.0
//
// Start of a small 64-bit guest: the first GiB is mapped where it is.
#include "boot.S.h"

  .section .boot, "ax"
  multiboot_header
  .globl _start
_start:
  enter_long_mode boot_root, start64

  .balign 4096
boot_root:
  .quad boot_pointers + TABLE
  .fill 511, 8, 0
boot_pointers:
  .quad boot_directory + TABLE
  .fill 511, 8, 0
boot_directory:
  first_gibibyte

  .text
start64:
  cld
  movl $stack_end, %esp
  pushq $0
  popfq
  call console_init
  call descriptors_init
  call guest_main
  movl %eax, %edi
  call machine_exit

  .bss
  .balign 16
  .skip 16384
stack_end:

  .section .note.GNU-stack, "", @progbits

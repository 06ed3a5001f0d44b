// SPDX-License-Identifier: Apache-2.0
//
// Start of a small 32-bit guest: a Multiboot loader enters in protected mode without paging.

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00000002  // tell us the memory size

  .section .boot, "ax"
  .balign 4
  .long MULTIBOOT_MAGIC
  .long MULTIBOOT_FLAGS
  .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

  .globl _start
_start:
  cld
  movl $stack_end, %esp
  pushl $0
  popf
  call console_init
  call descriptors_init  // the loader's own descriptor table may be anywhere
  call guest_main
  pushl %eax
  call machine_exit

  .bss
  .balign 16
  .skip 16384
stack_end:

  .section .note.GNU-stack, "", @progbits

// SPDX-License-Identifier: Apache-2.0
//
// Where the Multiboot loader enters: protected mode, no paging, everything at its physical
// address. Two times the first 16 MiB in 4 MiB pages are enough to get to where the kernel is
// linked.

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00000002  // tell us the memory size
#define CR4_PSE 0x10
#define CR0_PG_WP_PE 0x80010001
#define LARGE 0x83  // present, writable, 4 MiB

  .section .boot, "ax"
  .balign 4
  .long MULTIBOOT_MAGIC
  .long MULTIBOOT_FLAGS
  .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

  .globl _start
_start:
  movl %cr4, %ecx
  orl $CR4_PSE, %ecx
  movl %ecx, %cr4
  movl $entry_directory, %ecx
  movl %ecx, %cr3
  movl %cr0, %ecx
  orl $CR0_PG_WP_PE, %ecx
  movl %ecx, %cr0
  movl $high, %ecx
  jmp *%ecx

  .balign 4096
entry_directory:
  // Where we are.
  .long 0x000000 + LARGE, 0x400000 + LARGE, 0x800000 + LARGE, 0xc00000 + LARGE
  .fill 764, 4, 0
  // Where we want to be.
  .long 0x000000 + LARGE, 0x400000 + LARGE, 0x800000 + LARGE, 0xc00000 + LARGE
  .fill 252, 4, 0

  .text
high:
  cld
  movl $boot_stack_end, %esp
  pushl $0
  popf
  pushl %ebx
  pushl %eax
  call kernel_main

  // void switch_stacks(void **save, void *next): the registers that a C function must keep.
  .globl switch_stacks
switch_stacks:
  movl 4(%esp), %eax
  movl 8(%esp), %edx
  pushl %ebp
  pushl %ebx
  pushl %esi
  pushl %edi
  movl %esp, (%eax)
  movl %edx, %esp
  popl %edi
  popl %esi
  popl %ebx
  popl %ebp
  ret

  .bss
  .balign 4096
  .skip 4096
boot_stack_end:

  .section .note.GNU-stack, "", @progbits

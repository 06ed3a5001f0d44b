// SPDX-License-Identifier: Apache-2.0
//
// Start of a small 64-bit guest under direct paging, which takes tables only if nothing maps them
// writable: the first 2 MiB are mapped where they are, in pages of 4 KiB, the tables read-only, but not
// what a PC has between 640 KiB and 1 MiB. The address of the Multiboot information is in
// `boot_information`.
#include "boot.S.h"

#define HOLE 0xa0000
#define HOLE_END 0x100000
#define TABLES 0x101000  // behind the page with the first instructions
#define TABLES_END 0x105000
#define PAGE 3
#define PAGE_READ_ONLY 1

  .section .boot, "ax"
  multiboot_header
  .globl _start
_start:
  enter_long_mode boot_root, start64

  .org TABLES - 0x100000
  .globl boot_root, boot_table
boot_root:
  .quad boot_pointers + TABLE
  .fill 511, 8, 0
boot_pointers:
  .quad boot_directory + TABLE
  .fill 511, 8, 0
boot_directory:
  .quad boot_table + TABLE
  .fill 511, 8, 0
boot_table:
  .set address, 0
  .rept 512
  .if address >= HOLE && address < HOLE_END
  .quad 0
  .elseif address >= TABLES && address < TABLES_END
  .quad address + PAGE_READ_ONLY
  .else
  .quad address + PAGE
  .endif
  .set address, address + 0x1000
  .endr

  .text
start64:
  cld
  movl $stack_end, %esp
  pushq $0
  popfq
  movl %esi, boot_information
  call console_init
  call descriptors_init
  call guest_main
  movl %eax, %edi
  call machine_exit

  .bss
  .globl boot_information
  .balign 16
boot_information:
  .skip 16
  .skip 16384
stack_end:

  .section .note.GNU-stack, "", @progbits

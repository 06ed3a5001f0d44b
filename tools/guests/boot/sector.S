// SPDX-License-Identifier: Apache-2.0
//
// A boot sector: the BIOS loads it at 0x7c00 and enters in real mode. It asks the BIOS for the size of
// memory, opens the A20 gate, goes to protected mode, and calls load.c, which finds the kernel in
// the sectors behind this one.

#define CODE 0x08
#define DATA 0x10
#define CR0_PE 1
#define PORT_SYSTEM 0x92  // bit 1: address line 20 is connected; bit 0 would reset
#define A20 0x02

  .section .start, "ax"
  .code16
  .globl _start
_start:
  cli
  cld
  ljmp $0, $normal  // some BIOSes enter at 07c0:0000
normal:
  xorl %eax, %eax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movl $_start, %esp

  // CX: KiB from 1 MiB to 16 MiB; DX: blocks of 64 KiB above.
  movw $0xe801, %ax
  int $0x15
  cli
  movw %cx, memory_low
  movw %dx, memory_high

  inb $PORT_SYSTEM, %al
  orb $A20, %al
  andb $~1, %al
  outb %al, $PORT_SYSTEM
  lgdtl table
  movl %cr0, %eax
  orb $CR0_PE, %al
  movl %eax, %cr0
  ljmpl $CODE, $flat

  .code32
flat:
  movl $DATA, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %fs
  movl %eax, %gs
  movl %eax, %ss
  call load_kernel  // gives the entry
  movl %eax, %ecx
  movl $0x2badb002, %eax  // as a Multiboot loader enters a kernel
  movl $boot_information, %ebx
  jmp *%ecx

  .balign 8
descriptors:
  .quad 0
  .quad 0x00cf9a000000ffff  // code, 4 GiB from 0, 32-bit
  .quad 0x00cf92000000ffff  // data, likewise
table:
  .word table - descriptors - 1
  .long descriptors

  .section .signature, "a"
  .byte 0x55, 0xaa

  .section .note.GNU-stack, "", @progbits

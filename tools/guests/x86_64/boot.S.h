// SPDX-License-Identifier: Apache-2.0
//
// The way from a Multiboot loader (protected mode, 32 bits, no paging) to 64-bit mode, for the
// assembler.
//   enter_long_mode ROOT, TARGET
// loads the four-level tables at ROOT and jumps to TARGET (below 4 GiB, 64-bit code). Keeps EAX and
// EBX in EDI and ESI, where a C function looks for its arguments. The machine ends with status 3 if
// there is no 64-bit mode.

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00000002  // tell us the memory size
#define CR4_PAE 0x20
#define CR0_PG_WP_PE 0x80010001
#define MSR_EFER_NUMBER 0xc0000080
#define EFER_LONG_MODE 0x100
#define TABLE 0x07  // present, writable, for users: what the tables below say counts
#define LARGE_PAGE 0x83

  .macro multiboot_header
  .balign 4
  .long MULTIBOOT_MAGIC
  .long MULTIBOOT_FLAGS
  .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
  .endm

  .macro enter_long_mode root, target
  .code32
  movl %eax, %edi
  movl %ebx, %esi
  movl $0x80000000, %eax
  cpuid
  cmpl $0x80000001, %eax
  jb 9f
  movl $0x80000001, %eax
  cpuid
  btl $29, %edx
  jnc 9f

  movl %cr4, %eax
  orl $CR4_PAE, %eax
  movl %eax, %cr4
  movl $\root, %eax
  movl %eax, %cr3
  movl $MSR_EFER_NUMBER, %ecx
  rdmsr
  orl $EFER_LONG_MODE, %eax
  wrmsr
  movl %cr0, %eax
  orl $CR0_PG_WP_PE, %eax
  movl %eax, %cr0
  lgdt boot_gdt_register
  ljmp $0x08, $\target

9:movl $3, %eax
  outl %eax, $0xf4
8:hlt
  jmp 8b

  .balign 8
boot_gdt:
  .quad 0
  .quad 0x00209a0000000000  // 64-bit code
  .quad 0x0000920000000000
boot_gdt_register:
  .word 23
  .long boot_gdt
  .code64
  .endm

// A page directory for the first GiB in 2 MiB pages.
  .macro first_gibibyte
  .set address, 0
  .rept 512
  .quad address + LARGE_PAGE
  .set address, address + 0x200000
  .endr
  .endm

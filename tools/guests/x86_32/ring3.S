// SPDX-License-Identifier: Apache-2.0
#define USER_CODE 0x1b
#define USER_DATA 0x23
#define FLAGS_IF 0x202

  .text
  // uintptr_t enter_ring3(void (*code)(void), void* stack_end): IRET to a lower privilege level pops
  // a stack, too. What comes back comes by a trap, on the stack that the TSS names: below this frame.
  .globl enter_ring3
enter_ring3:
  pushl %ebp
  pushl %ebx
  pushl %esi
  pushl %edi
  movl 20(%esp), %esi
  movl 24(%esp), %edi
  movl %esp, saved_stack
  pushl %esp
  call set_kernel_stack
  addl $4, %esp
  pushl $USER_DATA
  pushl %edi
  pushl $FLAGS_IF
  pushl $USER_CODE
  pushl %esi
  movl $USER_DATA, %eax
  movl %eax, %ds
  movl %eax, %es
  iret

  // void return_from_ring3(uintptr_t value): from a trap handler; enter_ring3 returns.
  .globl return_from_ring3
return_from_ring3:
  movl 4(%esp), %eax
  movl saved_stack, %esp
  popl %edi
  popl %esi
  popl %ebx
  popl %ebp
  ret

  .bss
  .balign 4
saved_stack:
  .skip 4

  .section .note.GNU-stack, "", @progbits

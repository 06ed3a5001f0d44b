// SPDX-License-Identifier: Apache-2.0
//
// The header of a program's image (teach/exec.c reads it) and its first instructions.
#include "teach/image.h"

#ifdef __x86_64__
#define WORD .quad
#else
#define WORD .long
#endif

  .section .header, "a"
  WORD IMAGE_MAGIC
  WORD start
  WORD text_end
  WORD data_end
  WORD zero_end

  .text
  .globl start
start:
  xorl %ebp, %ebp
#ifdef __x86_64__
  // The argument is in RDI already.
  call main
  movl %eax, %edi
#else
  pushl %eax
  call main
  pushl %eax
#endif
  call leave

  .section .note.GNU-stack, "", @progbits

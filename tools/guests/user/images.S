// SPDX-License-Identifier: Apache-2.0
//
// The programs' images in the kernel, on pages of their own, which are mapped into processes as
// they are. The build gives the folder of the images on the include path.

#ifdef __x86_64__
#define WORD .quad
#define WORD_BYTES 8
#else
#define WORD .long
#define WORD_BYTES 4
#endif

  .macro image name
  .section .images, "aw"
  .balign 4096
image_\name:
  .incbin "\name\().bin"
  .balign 4096
  .section .rodata.names, "a"
name_\name:
  .asciz "\name"
  .section .rodata.images, "a"
  WORD name_\name, image_\name
  .endm

  .section .rodata.images, "a"
  .balign WORD_BYTES
  .globl images
images:
  image init
  image sort
  image matrix
  image churn
  image forkstorm
  image fault
  .section .rodata.images, "a"
  WORD 0, 0

  .section .note.GNU-stack, "", @progbits

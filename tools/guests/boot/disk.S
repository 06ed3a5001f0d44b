// SPDX-License-Identifier: Apache-2.0
//
// A disk: the boot sector, and the kernel in the sectors behind it. The build names the two files.

  .data
  .incbin BOOT_SECTOR
  .incbin KERNEL
  .balign 512

  .section .note.GNU-stack, "", @progbits

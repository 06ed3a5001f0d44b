// SPDX-License-Identifier: Apache-2.0
//
// What a Multiboot 1 loader hands over, as far as the guests read it.
#ifndef GUESTS_COMMON_MULTIBOOT_H_
#define GUESTS_COMMON_MULTIBOOT_H_

#include <stdint.h>

#define MULTIBOOT_LOADED 0x2badb002u
enum { kMultibootMemory = 1 << 0, kMultibootCommandLine = 1 << 2 };

typedef struct MultibootInfo {
  uint32_t flags;
  uint32_t lower_kib;  // memory from 0
  uint32_t upper_kib;  // memory from 1 MiB to the first hole
  uint32_t boot_device;
  uint32_t command_line;  // physical address
} MultibootInfo;

#endif  // GUESTS_COMMON_MULTIBOOT_H_

// SPDX-License-Identifier: Apache-2.0
//
// Port input and output.
#ifndef GUESTS_COMMON_IO_H_
#define GUESTS_COMMON_IO_H_

#include <stdint.h>

static inline uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline void out8(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t value) {
  __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

#endif  // GUESTS_COMMON_IO_H_

// SPDX-License-Identifier: Apache-2.0
#include "identity.h"

#include "common/cpu.h"

volatile uint32_t page_directory[kTableEntries] __attribute__((aligned(kPageSize)));
volatile uint32_t low_table[kTableEntries] __attribute__((aligned(kPageSize)));
volatile uint32_t test_table[kTableEntries] __attribute__((aligned(kPageSize)));

void identity_paging_on(void) {
  for (uint32_t i = 0; i < kTableEntries; i++)
    low_table[i] = i * kPageSize | kPresent | kWritable | kUser;
  page_directory[0] = (uintptr_t)low_table | kPresent | kWritable | kUser;
  page_directory[TEST_AREA >> 22] = (uintptr_t)test_table | kPresent | kWritable | kUser;
  write_cr3((uintptr_t)page_directory);
  write_cr4(read_cr4() | kCr4PageSizeExtension);
  write_cr0(read_cr0() | CR0_PAGING | kCr0WriteProtect);
}

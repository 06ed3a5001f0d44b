// SPDX-License-Identifier: Apache-2.0
//
// A start for guests that try out paging: the first 4 MiB where they are, in pages of 4 KiB, and
// one table for experiments.
#ifndef GUESTS_X86_32_IDENTITY_H_
#define GUESTS_X86_32_IDENTITY_H_

#include <stdint.h>

enum { kTableEntries = 1024 };

// Volatile: the processor reads and changes them, too.
extern volatile uint32_t page_directory[kTableEntries];
extern volatile uint32_t low_table[kTableEntries];   // the first 4 MiB
extern volatile uint32_t test_table[kTableEntries];  // those from TEST_AREA on; empty at first

#define TEST_AREA 0x10000000u

/// Fills the tables and turns paging on, with write protection for ring 0 and 4 MiB pages allowed.
void identity_paging_on(void);

#endif  // GUESTS_X86_32_IDENTITY_H_

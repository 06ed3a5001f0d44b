// SPDX-License-Identifier: Apache-2.0
//
// Page tables, whatever their number of levels (arch.h says). Level 0 is the one whose entries map
// pages. Only the user half of a table is touched here; the kernel half is the same everywhere.
#ifndef GUESTS_TEACH_TABLES_H_
#define GUESTS_TEACH_TABLES_H_

#include <stdbool.h>
#include <stdint.h>

#include "arch.h"
#include "common/cpu.h"

/// In an entry that is not writable: the page is to be copied when somebody writes to it.
enum { kCopyOnWrite = kForSoftware };

/// A root table with the kernel half filled in; null if memory is short.
Entry* tables_new(void);

/// The level-0 entry for `address`. Missing tables are made if `create`, else the answer is null,
/// as it is if memory is short.
Entry* tables_find(Entry* root, uintptr_t address, bool create);

/// Gives `to` the same pages as `from` has, and makes the writable ones copy-on-write in both.
/// False if memory is short; `to` then has a part. The caller flushes the TLB of `from`.
bool tables_share(Entry* to, Entry* from);

/// Removes the pages from `start` to `end` and the tables that become empty. The caller flushes.
void tables_unmap(Entry* root, uintptr_t start, uintptr_t end);

/// Removes everything, and the root.
void tables_free(Entry* root);

#endif  // GUESTS_TEACH_TABLES_H_

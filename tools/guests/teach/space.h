// SPDX-License-Identifier: Apache-2.0
//
// The address space of a process: a few areas that say what may be there, and page tables that say
// what is there by now. Pages come by demand (fault.c).
#ifndef GUESTS_TEACH_SPACE_H_
#define GUESTS_TEACH_SPACE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"

/// Pages from `start` up to `end`; none if they are equal. The contents start as `image`, or as
/// zeros if that is null.
typedef struct Area {
  uintptr_t start, end;
  const uint8_t* image;
  bool writable, executable;
} Area;

enum { kTextArea, kDataArea, kHeapArea, kStackArea, kFirstMapArea, kAreaCount = 16 };

typedef struct AddressSpace {
  Entry* root;
  Area areas[kAreaCount];
  unsigned tag;  // arch: the PCID
  bool stale;    // the TLB may still hold what an earlier space had under this tag
} AddressSpace;

/// An empty space. `tag` is a small number that no other space in use has. False: out of memory.
bool space_new(AddressSpace* space, unsigned tag);

/// A copy that shares all pages until one of the two writes. `parent` is the space in use.
bool space_fork(AddressSpace* child, AddressSpace* parent, unsigned tag);

/// Must not be the space in use.
void space_destroy(AddressSpace* space);

/// The area around `address`, or null.
const Area* space_area(const AddressSpace* space, uintptr_t address);

/// Whether the program may read (or write) all these bytes.
bool space_allows(const AddressSpace* space, uintptr_t address, size_t size, bool write);

/// Makes the heap of the space longer. Gives its old end, 0 if that is not possible.
uintptr_t space_grow(AddressSpace* space, size_t bytes);

/// Adds an area of zeros. Gives its address, 0 if there is no room.
uintptr_t space_map(AddressSpace* space, size_t bytes);

/// Removes the area that space_map made at `address`. The space is the one in use.
bool space_unmap(AddressSpace* space, uintptr_t address);

#endif  // GUESTS_TEACH_SPACE_H_

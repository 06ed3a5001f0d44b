// SPDX-License-Identifier: Apache-2.0
#include "teach/fault.h"

#include "common/cpu.h"
#include "common/string.h"
#include "teach/counters.h"
#include "teach/frames.h"
#include "teach/tables.h"

static Entry rights(const Area* area) {
  return kPresent | kUser | (area->executable ? 0 : ENTRY_NO_EXECUTE);
}

// The first touch of a page. A page of an image is mapped as it lies in the kernel; if it may be
// written, a write copies it like a page that fork shared. Nothing was present, so nothing is in
// the TLB.
static FaultResult demand(Entry* entry, const Area* area, uintptr_t page) {
  if (area->image != NULL) {
    uintptr_t frame = to_physical(area->image + (page - area->start));
    frame_share(frame);
    *entry = (Entry)frame | rights(area) | (area->writable ? kCopyOnWrite : 0);
    counters.image_pages++;
    return kResolved;
  }
  uintptr_t frame = frame_new_zeroed();
  if (frame == 0) return kOutOfMemory;
  *entry = (Entry)frame | rights(area) | (area->writable ? kWritable : 0);
  counters.zero_pages++;
  return kResolved;
}

static FaultResult copy_on_write(Entry* entry, const Area* area, uintptr_t page) {
  uintptr_t shared = (uintptr_t)(*entry & FRAME_MASK);
  if (frame_references(shared) == 1) {
    *entry = (Entry)shared | rights(area) | kWritable;
    counters.last_owners++;
  } else {
    uintptr_t frame = frame_new();
    if (frame == 0) return kOutOfMemory;
    memcpy(to_virtual(frame), to_virtual(shared), kPageSize);
    *entry = (Entry)frame | rights(area) | kWritable;
    frame_release(shared);
    counters.copies++;
  }
  invlpg(page);
  return kResolved;
}

FaultResult fault_resolve(AddressSpace* space, uintptr_t address, uintptr_t error) {
  bool write = (error & kFaultWrite) != 0;
  const Area* area = space_area(space, address);
  if (area == NULL || (write && !area->writable)) return kForbidden;
  if ((error & kFaultFetch) && !area->executable) return kForbidden;

  uintptr_t page = address & ~(uintptr_t)(kPageSize - 1);
  Entry* entry = tables_find(space->root, page, true);
  if (entry == NULL) return kOutOfMemory;
  if (!(*entry & kPresent)) {
    // A write to a fresh page of an image comes back as a second fault, for the copy.
    return demand(entry, area, page);
  }
  if (write && (*entry & kCopyOnWrite)) return copy_on_write(entry, area, page);
  return kForbidden;
}

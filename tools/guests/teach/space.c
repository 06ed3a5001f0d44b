// SPDX-License-Identifier: Apache-2.0
#include "teach/space.h"

#include "common/cpu.h"
#include "common/string.h"
#include "teach/frames.h"
#include "teach/tables.h"

// Flushing this many pages one by one costs less than refilling the TLB after a full flush.
enum { kFlushSingly = 32 };

static uintptr_t round_up(uintptr_t size) {
  return (size + kPageSize - 1) & ~(uintptr_t)(kPageSize - 1);
}

bool space_new(AddressSpace* space, unsigned tag) {
  memset(space, 0, sizeof *space);
  space->tag = tag;
  space->stale = true;
  space->root = tables_new();
  return space->root != NULL;
}

bool space_fork(AddressSpace* child, AddressSpace* parent, unsigned tag) {
  if (!space_new(child, tag)) return false;
  memcpy(child->areas, parent->areas, sizeof child->areas);
  bool done = tables_share(child->root, parent->root);
  tlb_flush_space(parent);  // its writable pages are not writable any more
  if (!done) space_destroy(child);
  return done;
}

void space_destroy(AddressSpace* space) {
  tables_free(space->root);
  space->root = NULL;
}

const Area* space_area(const AddressSpace* space, uintptr_t address) {
  for (const Area* area = space->areas; area < space->areas + kAreaCount; area++) {
    if (address >= area->start && address < area->end) return area;
  }
  return NULL;
}

bool space_allows(const AddressSpace* space, uintptr_t address, size_t size, bool write) {
  if (address >= USER_END || size > USER_END - address) return false;
  for (uintptr_t at = address; at < address + size;) {
    const Area* area = space_area(space, at);
    if (area == NULL || (write && !area->writable)) return false;
    at = area->end;
  }
  return true;
}

uintptr_t space_grow(AddressSpace* space, size_t bytes) {
  Area* heap = &space->areas[kHeapArea];
  uintptr_t old_end = heap->end;
  if (bytes > MAP_START - old_end) return 0;
  heap->end = round_up(old_end + bytes);
  return old_end;
}

uintptr_t space_map(AddressSpace* space, size_t bytes) {
  if (bytes == 0 || bytes > MAP_END - MAP_START) return 0;
  // First fit: behind the start or behind another mapping, wherever the way is free.
  uintptr_t start = MAP_START;
  Area* unused = NULL;
  for (Area* area = space->areas + kFirstMapArea; area < space->areas + kAreaCount;) {
    if (area->start == area->end) {
      unused = area;
    } else if (start < area->end && start + round_up(bytes) > area->start) {
      start = area->end;
      area = space->areas + kFirstMapArea;  // look again from the new place
      continue;
    }
    area++;
  }
  if (unused == NULL || start > MAP_END - round_up(bytes)) return 0;
  *unused = (Area){.start = start, .end = start + round_up(bytes), .writable = true};
  return start;
}

bool space_unmap(AddressSpace* space, uintptr_t address) {
  for (Area* area = space->areas + kFirstMapArea; area < space->areas + kAreaCount; area++) {
    if (area->start == area->end || area->start != address) continue;
    tables_unmap(space->root, area->start, area->end);
    // The frames are free already, but no user code runs on any processor before the flush.
    if ((area->end - area->start) / kPageSize > kFlushSingly) {
      tlb_flush_space(space);
    } else {
      for (uintptr_t page = area->start; page < area->end; page += kPageSize) invlpg(page);
    }
    area->end = area->start;
    return true;
  }
  return false;
}

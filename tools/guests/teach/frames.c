// SPDX-License-Identifier: Apache-2.0
#include "teach/frames.h"

#include "arch.h"
#include "common/cpu.h"
#include "common/string.h"
#include "teach/panic.h"

static uint16_t references[kMaxMemory / kPageSize];

// Frames that were given back form a list: the first word of each holds the address of the next.
// Those above `untouched` were never used, so a big memory costs nothing until somebody wants it.
static uintptr_t free_list, untouched, memory_end;
static unsigned free_count;

void frames_init(uintptr_t first_free, uintptr_t end) {
  for (uintptr_t frame = 0; frame < first_free; frame += kPageSize)
    references[frame / kPageSize] = 1;
  if (end <= first_free) panic("too little memory");
  untouched = first_free;
  memory_end = end;
  free_count = (unsigned)((end - first_free) / kPageSize);
}

uintptr_t frame_new(void) {
  uintptr_t frame = free_list;
  if (frame != 0) {
    free_list = *(uintptr_t*)to_virtual(frame);
  } else if (untouched < memory_end) {
    frame = untouched;
    untouched += kPageSize;
  } else {
    return 0;
  }
  free_count--;
  references[frame / kPageSize] = 1;
  return frame;
}

uintptr_t frame_new_zeroed(void) {
  uintptr_t frame = frame_new();
  if (frame != 0) memset(to_virtual(frame), 0, kPageSize);
  return frame;
}

void frame_share(uintptr_t frame) { references[frame / kPageSize]++; }

void frame_release(uintptr_t frame) {
  uint16_t* count = &references[frame / kPageSize];
  if (*count == 0) panic("a frame is released twice");
  if (--*count > 0) return;
  *(uintptr_t*)to_virtual(frame) = free_list;
  free_list = frame;
  free_count++;
}

unsigned frame_references(uintptr_t frame) { return references[frame / kPageSize]; }

unsigned frames_free(void) { return free_count; }

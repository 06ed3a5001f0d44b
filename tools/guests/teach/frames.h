// SPDX-License-Identifier: Apache-2.0
//
// Physical memory, in frames of one page. Each counts how many page-table entries (or kernel uses)
// refer to it: copy-on-write needs to know whether anybody else has the page.
#ifndef GUESTS_TEACH_FRAMES_H_
#define GUESTS_TEACH_FRAMES_H_

#include <stdint.h>

/// Frames from `first_free` to `end` (physical addresses) may be given out. Those below belong to
/// the kernel for good.
void frames_init(uintptr_t first_free, uintptr_t end);

/// Physical address of a frame with one reference and unknown contents; 0 if there is none.
uintptr_t frame_new(void);

/// The same, filled with zeros.
uintptr_t frame_new_zeroed(void);

void frame_share(uintptr_t frame);

/// The last release gives the frame back.
void frame_release(uintptr_t frame);

unsigned frame_references(uintptr_t frame);

/// How many frames can still be had.
unsigned frames_free(void);

#endif  // GUESTS_TEACH_FRAMES_H_

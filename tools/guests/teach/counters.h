// SPDX-License-Identifier: Apache-2.0
#ifndef GUESTS_TEACH_COUNTERS_H_
#define GUESTS_TEACH_COUNTERS_H_

/// What the kernel prints at the end. None of it is a time.
typedef struct Counters {
  unsigned faults;       // page faults, of all kinds
  unsigned zero_pages;   // answered with a fresh page of zeros
  unsigned image_pages;  // answered with a page of a program's image
  unsigned copies;       // copy-on-write: a copy was made
  unsigned last_owners;  // copy-on-write: nobody else had the page any more
  unsigned killed;       // a process ended by a trap of its own
  unsigned forks;
  unsigned switches;
  unsigned calls;
} Counters;

extern Counters counters;

#endif  // GUESTS_TEACH_COUNTERS_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_SHADOW_AGILE_OPTIONS_H_
#define GNOMON_SHADOW_AGILE_OPTIONS_H_

#include <cstdint>

namespace gnomon {

/// When agile paging (Gandhi, Hill, Swift, ISCA 2016) changes between its two modes.
struct AgileOptions {
  /// Trapped writes to one guest table within an interval after which it, and all below it, is walked in nested
  /// mode. Low: few write traps, more references for each walk. 0: everything is nested from the top.
  unsigned write_threshold = 2;
  /// Length of an interval in accesses of a vCPU: the host's timer. At its end a nested table that was not written
  /// goes back to shadow mode.
  uint64_t period = 10'000'000;
  /// An interval also ends after so many exits. Exits that going back causes then shorten the next interval, so
  /// this is for tests that want many short ones.
  unsigned interval = 1u << 30;
  /// New address spaces begin in nested mode from the top, and go to shadow mode if they last.
  bool start_nested = true;
};

}  // namespace gnomon

#endif  // GNOMON_SHADOW_AGILE_OPTIONS_H_

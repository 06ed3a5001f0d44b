// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_SHADOW_AGILE_OPTIONS_H_
#define GNOMON_SHADOW_AGILE_OPTIONS_H_

namespace gnomon {

/// When agile paging (Gandhi, Hill, Swift, ISCA 2016) changes between its two modes.
struct AgileOptions {
  /// Trapped writes to one guest table within an interval after which it, and all below it, is walked in nested
  /// mode. Low: few write traps, more references for each walk. 0: everything is nested from the top.
  unsigned write_threshold = 2;
  /// Length of an interval in exits. At its end a nested table that was not written goes back to shadow mode.
  unsigned interval = 4096;
};

}  // namespace gnomon

#endif  // GNOMON_SHADOW_AGILE_OPTIONS_H_

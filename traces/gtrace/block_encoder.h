// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_BLOCK_ENCODER_H_
#define TRACES_GTRACE_BLOCK_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "gnomon/traces/record.h"
#include "traces/gtrace/dictionary.h"
#include "traces/gtrace/forecast.h"
#include "traces/gtrace/run_finder.h"
#include "traces/gtrace/streams.h"

namespace gnomon::gtrace {

/// Makes the streams of a block, all but the events'.
class BlockEncoder {
 public:
  /// Encodes records from the front until they end or the dictionary is full; returns how many.
  size_t encode(absl::Span<const TraceRecord> records, Streams& to);

 private:
  void put_tokens(Streams& to) const;
  void put_misses(Streams& to);

  RunFinder finder_;
  Dictionary dictionary_;
  std::vector<uint32_t> steps_;
  std::vector<DataRecord> data_;
};

// Which data records of a run were not foretold: for each a byte, its number among the run's data
// in the upper six bits, the size of its correction in the lower two; and the correction (zigzag,
// little-endian).
inline constexpr unsigned kCorrectionSizeBits = 2;
inline constexpr size_t kCorrectionBytes[] = {1, 2, 4, 8};

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_BLOCK_ENCODER_H_

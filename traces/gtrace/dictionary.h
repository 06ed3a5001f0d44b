// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_DICTIONARY_H_
#define TRACES_GTRACE_DICTIONARY_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gnomon/traces/record.h"
#include "traces/gtrace/streams.h"

// What the records of a block are made of.
//
// A *basic run* is a stretch of records that is always the same but for the addresses of its data:
// fetches one after another in memory with their loads, stores and modifies; or data alone. A
// *pair* is a run made of two others. Each data record of a basic run has a *slot*, which foretells
// its address; records made by the same instruction share one. A slot's forecast is the last
// address of its *base* plus its *offset*:
//
//   base      the slot itself           offset      learned   strides
//             the data record before it             fixed     arrays gone through again, fields,
//             another slot                                    stack frames
//
// After each data record the address is its slot's last one, and if the slot learns, its offset
// becomes what would have been right.

namespace gnomon::gtrace {

/// A run fits in TraceReader::kLeastBatch.
inline constexpr uint32_t kMaxRunRecords = 128;
inline constexpr uint32_t kMaxRunData = 64;
/// Basic runs and pairs of a block; with the reserved tokens they are numbered in 16 bits.
inline constexpr uint32_t kMaxRuns = 65534;
/// Records in all runs of a block, each pair counted in full.
inline constexpr uint32_t kMaxRunRecordsTotal = 1u << 20;

/// Tokens: one says what comes next in a block.
inline constexpr uint32_t kTokenEvent = 0;
/// The next basic run that has not had a token yet.
inline constexpr uint32_t kTokenFresh = 1;
inline constexpr uint32_t kFirstRunToken = 2;

struct Slot {
  static constexpr uint32_t kOwn = ~uint32_t{0};
  static constexpr uint32_t kBefore = kOwn - 1;  ///< the data record before, whatever its slot

  uint32_t base = kOwn;
  bool learns = false;
  uint64_t offset = 0;
  uint64_t last = 0;  ///< at the front of the block; only slots that are their own base need it
};

struct BasicRun {
  uint32_t first_record = 0;  ///< in Dictionary::records
  uint32_t first_data = 0;    ///< in Dictionary::slot_of
  uint32_t records = 0;
  uint32_t data = 0;
};

struct Dictionary {
  std::vector<TraceRecord> records;  ///< of the basic runs; data addresses are 0
  std::vector<uint32_t> slot_of;     ///< of their data records
  std::vector<BasicRun> basics;
  std::vector<Slot> slots;
  /// Numbers of runs: basic ones first, then the pairs in order; each names runs before it.
  std::vector<std::pair<uint32_t, uint32_t>> pairs;

  void clear();
  /// Fills the three streams.
  void encode(Streams& to) const;
  /// Takes them from what Unpacker made. InvalidArgument says what is wrong.
  absl::Status decode(const Streams& from);
};

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_DICTIONARY_H_

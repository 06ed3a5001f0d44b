// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GTRACE_FORECAST_H_
#define TRACES_GTRACE_FORECAST_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "gnomon/traces/record.h"
#include "traces/gtrace/dictionary.h"

namespace gnomon::gtrace {

/// The data records of a block in order, as the forecasts see them.
struct DataRecord {
  uint64_t address;
  uint32_t slot;
};

/// Chooses for each slot the base and the offset that foretell most of its addresses in this block.
void choose_forecasts(absl::Span<const DataRecord> data, std::vector<Slot>& slots);

/// What a block's reader knows of the slots while it goes through the block.
class Forecaster {
 public:
  explicit Forecaster(const std::vector<Slot>& slots) : slots_(slots) {}
  /// The address that is expected; `correct` must follow.
  uint64_t expect(uint32_t slot) const {
    const Slot& s = slots_[slot];
    return (s.base == Slot::kBefore ? before_
            : s.base == Slot::kOwn  ? s.last
                                    : slots_[s.base].last) +
           s.offset;
  }
  /// The address was this one.
  void correct(uint32_t slot, uint64_t expected, uint64_t address) {
    Slot& s = slots_[slot];
    if (s.learns) s.offset += address - expected;
    s.last = before_ = address;
  }

 private:
  std::vector<Slot> slots_;
  uint64_t before_ = 0;
};

}  // namespace gnomon::gtrace

#endif  // TRACES_GTRACE_FORECAST_H_

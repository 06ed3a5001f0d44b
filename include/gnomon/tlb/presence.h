// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TLB_PRESENCE_H_
#define GNOMON_TLB_PRESENCE_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gnomon::tlb_internal {

/// How many slots of all structures together hold a page, by a hash of its tag without context:
/// most pages that miss are in none, and need not be searched for.
class Presence {
 public:
  /// For `slots` slots.
  explicit Presence(size_t slots)
      : rows_(std::bit_ceil(std::max(kRowsForSlot * slots, size_t{2}))),
        shift_(64 - std::countr_zero(rows_.size())) {}

  /// True is sure.
  bool none(uint64_t page) const { return rows_[row_of(page)] == 0; }
  void add(uint64_t page) {
    uint8_t& row = rows_[row_of(page)];
    if (row != kMany) ++row;
  }
  void remove(uint64_t page) {
    uint8_t& row = rows_[row_of(page)];
    if (row != kMany) --row;
  }

 private:
  static constexpr size_t kRowsForSlot = 4;
  static constexpr uint8_t kMany = 255;  // and no longer counted
  size_t row_of(uint64_t page) const { return page * 0x9e37'79b9'7f4a'7c15 >> shift_; }

  std::vector<uint8_t> rows_;
  int shift_;
};

}  // namespace gnomon::tlb_internal

#endif  // GNOMON_TLB_PRESENCE_H_

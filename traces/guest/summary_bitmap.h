// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GUEST_SUMMARY_BITMAP_H_
#define TRACES_GUEST_SUMMARY_BITMAP_H_

#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "gnomon/memory/lazy_array.h"

namespace gnomon::guest {

/// A bitmap with a tree above it: a bit one level up says that 64 bits below are all set. Finding a
/// clear bit costs a step a level, whatever is full. What was never set costs no memory.
class SummaryBitmap {
 public:
  explicit SummaryBitmap(uint64_t bits) {
    levels_.reserve(8);
    for (uint64_t n = bits;; n = (n + 63) / 64) {
      const uint64_t words = (n + 63) / 64;
      levels_.emplace_back(words);
      complete_ = complete_ && levels_.back().size() == words;
      if (complete_ && n % 64 != 0) levels_.back()[words - 1] = ~uint64_t{0} << (n % 64);
      if (words <= 1) break;
    }
  }

  /// False: the system refused the memory.
  bool complete() const { return complete_; }
  bool test(uint64_t i) const { return (levels_[0][i / 64] >> (i % 64) & 1) != 0; }

  void set(uint64_t i) {
    for (LazyArray<uint64_t>& level : levels_) {
      uint64_t& word = level[i / 64];
      word |= uint64_t{1} << (i % 64);
      if (word != ~uint64_t{0}) return;
      i /= 64;
    }
  }
  void clear(uint64_t i) {
    for (LazyArray<uint64_t>& level : levels_) {
      uint64_t& word = level[i / 64];
      const bool was_full = word == ~uint64_t{0};
      word &= ~(uint64_t{1} << (i % 64));
      if (!was_full) return;
      i /= 64;
    }
  }

  /// The first clear bit at or after `from`.
  std::optional<uint64_t> first_clear(uint64_t from = 0) const {
    for (size_t level = 0; level < levels_.size(); ++level) {
      if (from / 64 >= levels_[level].size()) return std::nullopt;
      const uint64_t clear = ~levels_[level][from / 64] & ~uint64_t{0} << (from % 64);
      if (clear != 0) {
        uint64_t at = from / 64 * 64 + static_cast<unsigned>(std::countr_zero(clear));
        while (level-- != 0) {
          at = at * 64 + static_cast<unsigned>(std::countr_one(levels_[level][at]));
        }
        return at;
      }
      from = from / 64 + 1;
    }
    return std::nullopt;
  }

 private:
  std::vector<LazyArray<uint64_t>> levels_;
  bool complete_ = true;
};

}  // namespace gnomon::guest

#endif  // TRACES_GUEST_SUMMARY_BITMAP_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TLB_FINGERPRINTS_H_
#define GNOMON_TLB_FINGERPRINTS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gnomon/base/compare.h"

namespace gnomon::tlb_internal {

/// One byte of a hash of what each way of a set holds, 0 for nothing: a search compares a whole set
/// in a few instructions, and looks only at ways that are probably right.
class Fingerprints {
 public:
  Fingerprints() = default;
  Fingerprints(uint32_t sets, uint32_t ways)
      : stride_(ways <= kHalf ? kHalf : (ways + kGroup - 1) / kGroup * kGroup),
        bytes_(size_t{sets} * stride_ + kHalf) {}

  /// Never 0.
  static uint8_t of(uint64_t page) {
    return static_cast<uint8_t>(page * 0x9e37'79b9'7f4a'7c15 >> 57 | 0x80);
  }
  void set(uint32_t set, uint32_t way, uint8_t fingerprint) {
    bytes_[size_t{set} * stride_ + way] = fingerprint;
  }
  /// Calls `is_it(way)` for the ways below `ways` that may be it, in order, until it returns true.
  /// Is there one?
  template <class F>
  bool find(uint32_t set, uint32_t ways, uint8_t fingerprint, F&& is_it) const {
    const uint8_t* const row = bytes_.data() + size_t{set} * stride_;
    // Behind a short row are the ways of the next set.
    if (stride_ == kHalf) return find_in(equal_bytes(row, fingerprint) & 0xff, 0, ways, is_it);
    for (uint32_t first = 0; first < ways; first += kGroup) {
      if (find_in(equal_bytes(row + first, fingerprint), first, ways, is_it)) return true;
    }
    return false;
  }

 private:
  static constexpr uint32_t kGroup = 16;
  static constexpr uint32_t kHalf = 8;

  template <class F>
  [[gnu::always_inline]] static bool find_in(uint32_t matches, uint32_t first, uint32_t ways,
                                             F&& is_it) {
    for (; matches != 0; matches &= matches - 1) {
      const uint32_t way = first + static_cast<uint32_t>(std::countr_zero(matches));
      if (way >= ways) return false;
      if (is_it(way)) return true;
    }
    return false;
  }

  uint32_t stride_ = 0;  // bytes of a set
  std::vector<uint8_t> bytes_;
};

}  // namespace gnomon::tlb_internal

#endif  // GNOMON_TLB_FINGERPRINTS_H_

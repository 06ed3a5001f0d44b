// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_DEVICES_VECTOR_SET_H_
#define VMM_DEVICES_VECTOR_SET_H_

#include <array>
#include <bit>
#include <cstdint>

namespace gnomon::vmm {

/// A set of interrupt vectors: IRR, ISR and TMR of a local APIC.
class VectorSet {
 public:
  void add(uint8_t vector) { words_[vector / 32] |= mask(vector); }
  void remove(uint8_t vector) { words_[vector / 32] &= ~mask(vector); }
  bool contains(uint8_t vector) const { return (words_[vector / 32] & mask(vector)) != 0; }
  /// The highest member, -1 when there is none.
  int highest() const {
    for (int i = 7; i >= 0; --i) {
      const uint32_t word = words_[static_cast<unsigned>(i)];
      if (word != 0) return i * 32 + 31 - std::countl_zero(word);
    }
    return -1;
  }
  /// Vectors 32 * i to 32 * i + 31, as a register shows them.
  uint32_t word(unsigned i) const { return words_[i & 7]; }

 private:
  static uint32_t mask(uint8_t vector) { return uint32_t{1} << (vector % 32); }
  std::array<uint32_t, 8> words_{};
};

}  // namespace gnomon::vmm

#endif  // VMM_DEVICES_VECTOR_SET_H_

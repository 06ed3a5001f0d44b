// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_HOSTILE_GUEST_CHOICES_H_
#define TESTS_HOSTILE_GUEST_CHOICES_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "tests/scenario/random.h"

namespace gnomon::vmm::hostile {

/// Numbers from bytes, and when they have run out, from a generator: so one description of a guest
/// serves random tests and fuzzers.
class Choices {
 public:
  explicit Choices(uint64_t seed) : random_(seed) {}
  Choices(absl::Span<const uint8_t> bytes, uint64_t seed) : bytes_(bytes), random_(seed) {}

  uint8_t byte() {
    if (at_ < bytes_.size()) return bytes_[at_++];
    return static_cast<uint8_t>(random_.next());
  }
  uint64_t number() {
    if (at_ >= bytes_.size()) return random_.next();
    uint64_t n = 0;
    for (int i = 0; i < 8; ++i) n = n << 8 | byte();
    return n;
  }
  /// In [0, bound), which is at most 2^16 and not 0.
  uint32_t below(uint32_t bound) {
    return bound <= 256 ? byte() % bound : (byte() << 8 | byte()) % bound;
  }
  bool percent(unsigned chance) { return below(100) < chance; }
  template <class Container>
  const auto& pick(const Container& from) {
    return from[below(static_cast<uint32_t>(from.size()))];
  }

 private:
  absl::Span<const uint8_t> bytes_;
  size_t at_ = 0;
  scenario::Random random_;
};

}  // namespace gnomon::vmm::hostile

#endif  // TESTS_HOSTILE_GUEST_CHOICES_H_

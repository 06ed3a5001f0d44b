// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_CHOICES_H_
#define TESTS_SCENARIO_CHOICES_H_

#include <cstdint>
#include <iterator>

#include "absl/types/span.h"
#include "tests/scenario/random.h"

namespace gnomon::scenario {

/// Where the generator's choices come from. The same choices make the same program everywhere, so
/// that which one comes first is never left to the compiler, as it is for the arguments of a call.
class Choices {
 public:
  virtual ~Choices() = default;
  /// In [0, bound); `bound` is not 0.
  virtual uint64_t below(uint64_t bound) = 0;
  /// Asked before each action but the first ones: is the program long enough?
  virtual bool done() = 0;

  bool percent(unsigned chance) { return below(100) < chance; }
  template <class Container>
  auto pick(const Container& from) {
    return from[below(std::size(from))];
  }
};

/// From a random number generator, for a number of actions.
class SeededChoices final : public Choices {
 public:
  SeededChoices(uint64_t seed, unsigned length) : random_(seed), left_(length) {}
  uint64_t below(uint64_t bound) override { return random_.below(bound); }
  bool done() override { return left_-- == 0; }

 private:
  Random random_;
  unsigned left_;
};

/// From bytes, as many as there are; afterwards every choice is 0.
class ByteChoices final : public Choices {
 public:
  explicit ByteChoices(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}
  uint64_t below(uint64_t bound) override {
    uint64_t value = 0;
    for (uint64_t range = 1; range < bound && !bytes_.empty(); range <<= 8) {
      value = value << 8 | bytes_[0];
      bytes_.remove_prefix(1);
    }
    return value % bound;
  }
  bool done() override { return bytes_.empty(); }

 private:
  absl::Span<const uint8_t> bytes_;
};

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_CHOICES_H_

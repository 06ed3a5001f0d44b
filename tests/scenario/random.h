// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_RANDOM_H_
#define TESTS_SCENARIO_RANDOM_H_

#include <cstddef>
#include <cstdint>

namespace gnomon::scenario {

/// SplitMix64: short, fast, the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// In [0, bound); `bound` is not 0.
  uint64_t below(uint64_t bound) { return next() % bound; }
  bool percent(unsigned chance) { return below(100) < chance; }
  template <class Container>
  const auto& pick(const Container& from) {
    return from[below(from.size())];
  }

 private:
  uint64_t state_;
};

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_RANDOM_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SUPPORT_SCALE_H_
#define TESTS_SUPPORT_SCALE_H_

#include <cstdlib>

#include "absl/strings/string_view.h"

namespace gnomon {

/// What the environment variable GNOMON_TEST_SCALE asks of tests that can be short or long.
enum class TestScale { kSmall, kNormal, kFull };

/// GNOMON_TEST_SCALE: `small`, `full`, or anything else or nothing for the scale in between.
inline TestScale test_scale() {
  const char* const value = std::getenv("GNOMON_TEST_SCALE");
  const absl::string_view name = value == nullptr ? "" : value;
  return name == "small"  ? TestScale::kSmall
         : name == "full" ? TestScale::kFull
                          : TestScale::kNormal;
}

inline bool small_scale() { return test_scale() == TestScale::kSmall; }
inline bool full_scale() { return test_scale() == TestScale::kFull; }

/// One of three numbers (of rounds, seeds, cases), by scale.
template <typename T>
T by_scale(T small, T normal, T full) {
  return small_scale() ? small : full_scale() ? full : normal;
}

}  // namespace gnomon

#endif  // TESTS_SUPPORT_SCALE_H_

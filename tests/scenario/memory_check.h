// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SCENARIO_MEMORY_CHECK_H_
#define TESTS_SCENARIO_MEMORY_CHECK_H_

#include <optional>
#include <string>

#include "absl/types/span.h"
#include "tests/scenario/machine.h"

namespace gnomon::scenario {

/// What is wrong; nullopt: nothing.
using Problem = std::optional<std::string>;

/// Compares a machine's guest memory with its mirror.
class MemoryCheck {
 public:
  /// `raw_differs`: what lies in memory is not what the guest sees (dirty flags that reach it late,
  /// host addresses in the guest's tables), so that only the virtual page directory tells.
  MemoryCheck(Machine& machine, const Mirror& mirror, bool raw_differs)
      : m_(machine), mirror_(mirror), raw_differs_(raw_differs) {}

  /// The frames around these addresses, and the words there as the guest reads them back.
  Problem compare(absl::Span<const Gpa> touched) const;
  Problem compare_all() const;

 private:
  Problem compare_frame(uint64_t frame) const;
  Problem compare_as_read(Gpa word) const;

  Machine& m_;
  const Mirror& mirror_;
  const bool raw_differs_;
};

}  // namespace gnomon::scenario

#endif  // TESTS_SCENARIO_MEMORY_CHECK_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_MONITOR_RAN_H_
#define TESTS_MONITOR_RAN_H_

#include <gtest/gtest.h>

#include <memory>

#include "gnomon/vmm/machine.h"

namespace gnomon::vmm {

/// The machine after so many instructions.
inline std::unique_ptr<Machine> ran(std::unique_ptr<Machine> machine, uint64_t instructions) {
  EXPECT_NE(machine, nullptr);
  const RunEnd end = machine->run(instructions);
  EXPECT_EQ(end.reason, RunEnd::Reason::kLimit) << end.text;
  return machine;
}

}  // namespace gnomon::vmm

#endif  // TESTS_MONITOR_RAN_H_

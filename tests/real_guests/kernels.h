// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_REAL_GUESTS_KERNELS_H_
#define TESTS_REAL_GUESTS_KERNELS_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "gnomon/vmm/machine.h"
#include "tests/guest_images/kernel_files.h"

namespace gnomon::vmm::real_guests {

/// Why such tests make no sense in this build or at this scale; empty: they do.
std::string reason_to_skip();

/// A machine, and what its guest wrote to the serial port.
struct RealGuest {
  std::string console;
  std::unique_ptr<Machine> machine;
};

/// Failures are GoogleTest's; `machine` is null then.
std::unique_ptr<RealGuest> start(MachineOptions options);

}  // namespace gnomon::vmm::real_guests

/// At the start of a test, with the names of the files that it needs.
#define GNOMON_NEEDS_FILES(...)                                                                  \
  do {                                                                                           \
    if (const std::string why = gnomon::vmm::real_guests::reason_to_skip(); !why.empty()) {      \
      GTEST_SKIP() << why;                                                                       \
    }                                                                                            \
    for (const char* const name : {__VA_ARGS__}) {                                               \
      if (gnomon::vmm::find_kernel_file(name).empty()) {                                         \
        GTEST_SKIP() << name                                                                     \
                     << " is not there: run tools/lib/fetch_test_kernels.sh build/test-kernels"; \
      }                                                                                          \
    }                                                                                            \
  } while (false)

#endif  // TESTS_REAL_GUESTS_KERNELS_H_

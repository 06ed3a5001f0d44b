// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GUEST_IMAGES_KERNEL_FILES_H_
#define TESTS_GUEST_IMAGES_KERNEL_FILES_H_

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/string_view.h"

// Kernels that other people wrote. They are not in the repository: tools/lib/fetch_test_kernels.sh
// takes them out of Debian's packages.

namespace gnomon::vmm {

/// The path of a file in $GNOMON_TEST_KERNELS, in build/test-kernels of the sources, or in /boot;
/// empty: in none of them.
inline std::string find_kernel_file(absl::string_view name) {
  const char* const named = std::getenv("GNOMON_TEST_KERNELS");
  const std::filesystem::path folders[] = {
      named != nullptr ? named : "",
      std::filesystem::path(GNOMON_TEST_SOURCE_DIR) / "build/test-kernels", "/boot"};
  for (const auto& folder : folders) {
    std::error_code error;
    const std::filesystem::path path = folder / std::string(name);
    if (!folder.empty() && std::filesystem::is_regular_file(path, error)) return path;
  }
  return {};
}

}  // namespace gnomon::vmm

#endif  // TESTS_GUEST_IMAGES_KERNEL_FILES_H_

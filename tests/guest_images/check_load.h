// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GUEST_IMAGES_CHECK_LOAD_H_
#define TESTS_GUEST_IMAGES_CHECK_LOAD_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/guest_images/ram.h"

namespace gnomon::vmm {

/// Loads any bytes with that loader. What is wrong with the outcome, empty if nothing is: an error
/// is one line with the file's name, and has a code that loaders give; a guest that was loaded lies
/// in usable RAM without overlaps, has not touched other RAM than that and the BIOS's, and starts
/// in it.
std::string check_load(absl::string_view format, const std::vector<uint8_t>& image, Ram& ram,
                       const LoadOptions& options = {});

}  // namespace gnomon::vmm

#endif  // TESTS_GUEST_IMAGES_CHECK_LOAD_H_

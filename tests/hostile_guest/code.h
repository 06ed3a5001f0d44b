// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_HOSTILE_GUEST_CODE_H_
#define TESTS_HOSTILE_GUEST_CODE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "tests/hostile_guest/choices.h"

namespace gnomon::vmm::hostile {

/// Bytes that are instructions more often than chance would have it, many of them of the kinds that
/// a VMM must see. Constants in them are near `places`.
std::vector<uint8_t> random_code(Choices& choices, size_t bytes, absl::Span<const uint64_t> places,
                                 bool is64);

}  // namespace gnomon::vmm::hostile

#endif  // TESTS_HOSTILE_GUEST_CODE_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_P2M_MODEL_PROGRAM_H_
#define TESTS_P2M_MODEL_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace gnomon {

/// Runs `bytes` as a sequence of operations, at most 60; the first difference, or empty.
std::string run_p2m_program(const uint8_t* bytes, size_t size);

}  // namespace gnomon

#endif  // TESTS_P2M_MODEL_PROGRAM_H_

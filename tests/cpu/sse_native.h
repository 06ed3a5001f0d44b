// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CPU_SSE_NATIVE_H_
#define TESTS_CPU_SSE_NATIVE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "tests/scenario/random.h"

namespace gnomon::vmm {

/// A vector instruction without REX: [prefix] 0F opcode modrm [imm8].
struct SseOpcode {
  uint8_t prefix;  ///< 0, 66, F2, F3
  uint8_t opcode;
  enum Forms : uint8_t {
    kBoth,
    kRegister,
    kMemory,
    kGroup /* register, `extension` in modrm */
  } forms = kBoth;
  bool immediate = false;
  enum Operands : uint8_t {
    kXmm,
    kMmx,
    kToGpr,
    kFromGpr,
    kGprToMmx,
    kMmxToGpr,
    kXmmToMmx,
    kMmxToXmm
  } operands = kXmm;
  uint8_t extension = 0;
};

/// Runs each with random and special operands, many times, on the host's processor and in a guest,
/// and expects the same of both: all registers, flags, memory. `floats`: with all kinds of MXCSR
/// (with exceptions masked).
void compare_with_host(absl::Span<const SseOpcode> opcodes, bool floats, uint64_t seed,
                       unsigned rounds);

/// A number for a vector's 64 bits: an interesting double, two interesting floats, or any bits.
uint64_t interesting_vector(scenario::Random& random);

}  // namespace gnomon::vmm

#endif  // TESTS_CPU_SSE_NATIVE_H_

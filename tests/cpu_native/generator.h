// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CPU_NATIVE_GENERATOR_H_
#define TESTS_CPU_NATIVE_GENERATOR_H_

#include <array>
#include <cstdint>
#include <vector>

#include "tests/cpu_native/snippet.h"
#include "tests/native_cpu/state.h"
#include "tests/scenario/random.h"

namespace gnomon::vmm::native {

struct GeneratorOptions {
  Mode mode = Mode::k64;
  bool random_bytes = false;  ///< opcodes at random, instead of all mnemonics alike
  bool wild = true;           ///< now and then addresses that are anywhere
};

/// 1 to kMaxPieces instructions that can be run and compared.
Snippet generate(scenario::Random& rng, const GeneratorOptions& options);

/// LEA and relatives have a memory operand that they do not access.
inline bool accesses_memory(const ZydisDecodedOperand& o) {
  return o.type == ZYDIS_OPERAND_TYPE_MEMORY && o.mem.type != ZYDIS_MEMOP_TYPE_AGEN;
}

/// Adds the instruction in `bytes` if it fits what is there; with_roles: what registers must hold
/// is noted. For code that comes from outside.
bool append(Snippet& s, const uint8_t* bytes, unsigned available);

/// Bytes to be in memory.
struct Poke {
  uint64_t address = 0;
  std::array<uint8_t, 16> bytes{};
  uint8_t size = 0;
};

struct Input {
  State state;
  std::vector<Poke> pokes;
};

/// Registers for a snippet; `fx` is the caller's to fill. False: these do not suit (try again).
bool make_input(scenario::Random& rng, const Snippet& s, Input& input);

}  // namespace gnomon::vmm::native

#endif  // TESTS_CPU_NATIVE_GENERATOR_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CPU_NATIVE_CATALOGUE_H_
#define TESTS_CPU_NATIVE_CATALOGUE_H_

#include <Zydis/Zydis.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/native_cpu/state.h"

// Which instructions are tested, and how each can be encoded: found by decoding every opcode.

namespace gnomon::vmm::native {

struct Decoding {
  ZydisDecodedInstruction i;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> o;
};

bool decode(Mode mode, const uint8_t* bytes, unsigned available, Decoding& out);
/// "add [rsp+0x10], eax"
std::string disassemble(const Decoding& d, uint64_t at);
absl::string_view mnemonic_name(unsigned mnemonic);

enum class Family : uint8_t { kInteger, kX87, kSse };

/// Is this instruction, in this form, tested? (Not tested: what needs privilege or shows the
/// system, its time or its segments; and what the virtual processor's CPUID does not offer.)
bool is_tested(const Decoding& d);
Family family_of(const Decoding& d);

/// One opcode with what follows from it.
struct Template {
  uint8_t prefix = 0;  ///< mandatory 66, F2 or F3; 0: none
  uint8_t map = 0;     ///< 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A
  uint8_t opcode = 0;
  bool has_modrm = false;
  bool memory = false;  ///< ModRM names memory
  std::vector<uint8_t>
      modrm;  ///< its possible values: mod is 3, or 0 (any but 3 will do), rm as found
};

/// All encodings of one mnemonic.
struct Entry {
  ZydisMnemonic mnemonic = ZYDIS_MNEMONIC_INVALID;
  Family family = Family::kInteger;
  std::vector<Template> templates;
};

/// What is tested in this mode, by mnemonic.
const std::vector<Entry>& catalogue(Mode mode);

}  // namespace gnomon::vmm::native

#endif  // TESTS_CPU_NATIVE_CATALOGUE_H_

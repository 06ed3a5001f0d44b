// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CPU_NATIVE_SNIPPET_H_
#define TESTS_CPU_NATIVE_SNIPPET_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/cpu_native/catalogue.h"
#include "tests/native_cpu/state.h"

namespace gnomon::vmm::native {

/// What a snippet expects of a general register at its start.
enum class Role : uint8_t {
  kFree,
  kPointer,
  kIndex,
  kStackPointer,
  kCount,
  kCodePointer,
  kBitOffset,
  kSmall
};

struct Piece {
  std::array<uint8_t, 15> bytes{};
  uint8_t length = 0;
  bool locked = false;    ///< must not cross a cache line
  bool relative = false;  ///< jumps to the piece number `target` (or the end), which comes later
  uint8_t target = 0;
  bool rip_relative = false;
  uint64_t data_target = 0;  ///< of RIP-relative operands
  Decoding d;
};

inline constexpr unsigned kMaxPieces = 8;

struct Snippet {
  Mode mode = Mode::k64;
  uint64_t end = kCode + 0x800;
  std::vector<Piece> pieces;
  std::array<Role, 16> roles{};
  // Made by `assemble`.
  std::vector<uint8_t> code;
  std::array<uint64_t, kMaxPieces + 1> starts{};  ///< addresses of the pieces, and the end

  uint64_t start() const { return end - code.size(); }
  /// The piece that starts at `rip`; their number if none does.
  size_t piece_at(uint64_t rip) const;
  std::string text() const;
};

/// Puts the pieces one after the other so that they end at `end`, and fills in distances.
void assemble(Snippet& s);

/// A general register of any width as its number; 16 for others.
unsigned number_of(ZydisRegister r);

/// The arithmetic flags an instruction reads, surely writes, and may leave undefined. `count`: CL,
/// or -1 if not known.
struct FlagEffects {
  uint32_t reads = 0, writes = 0, undefined = 0;
};
FlagEffects flag_effects(const Decoding& d, int count);

/// Which flags may be undefined before each piece (and at the end), with this RCX at the start, or
/// -1. If some piece reads such a flag, `sound` becomes false.
std::array<uint32_t, kMaxPieces + 1> undefined_flags(const Snippet& s, int64_t rcx, bool& sound);

}  // namespace gnomon::vmm::native

#endif  // TESTS_CPU_NATIVE_SNIPPET_H_

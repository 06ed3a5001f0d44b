// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_NATIVE_CPU_STATE_H_
#define TESTS_NATIVE_CPU_STATE_H_

#include <array>
#include <cstdint>
#include <cstring>

// What a snippet of code starts from and what it leaves, the same for the host's processor and for
// the interpreter.

namespace gnomon::vmm::native {

enum class Mode : uint8_t { k64, k32 };

// Where things lie, in the host process and in the guest: linear addresses. What is not named is
// not mapped.
inline constexpr uint64_t kCode = 0x10000;  ///< two pages, everything allowed
inline constexpr uint64_t kCodeBytes = 0x2000;
inline constexpr uint64_t kData = 0x201000;  ///< two pages to read and write
inline constexpr uint64_t kDataBytes = 0x2000;
inline constexpr uint64_t kConstant = 0x203000;  ///< a page to read
inline constexpr uint64_t kStack = 0x205000;     ///< a page to read and write
inline constexpr uint64_t kPage = 0x1000;
inline constexpr uint64_t kHole = 0x204000;  ///< a page that is not there
/// Where the jump at a snippet's end goes: mapped in the host alone.
inline constexpr uint32_t kExit = 0x5a3c6000;
/// The jump that follows a snippet (to a 64-bit segment from 32-bit code), and what fills the room
/// after it.
inline constexpr unsigned kTailBytes = 16;
inline std::array<uint8_t, kTailBytes> tail(Mode mode, uint64_t end) {
  std::array<uint8_t, kTailBytes> bytes;
  bytes.fill(0xcc);
  const uint32_t distance = kExit - static_cast<uint32_t>(end + 5);
  bytes[0] = mode == Mode::k64 ? 0xe9 : 0xea;
  std::memcpy(&bytes[1], mode == Mode::k64 ? &distance : &kExit, 4);
  if (mode == Mode::k32) {
    bytes[5] = 0x33;
    bytes[6] = 0;
  }
  return bytes;
}

/// Bytes of memory that snippets work on: the pages from kData to kConstant, then that of kStack.
inline constexpr unsigned kImageBytes = 4 * kPage;
using Image = std::array<uint8_t, kImageBytes>;
/// Where a mapped address lies in an Image; kImageBytes if it is in none of its pages.
constexpr uint64_t image_offset(uint64_t address) {
  if (address >= kData && address < kHole) return address - kData;
  if (address >= kStack && address < kStack + kPage) return address - kStack + 3 * kPage;
  return kImageBytes;
}

/// The 512 bytes of FXSAVE (64-bit format).
struct alignas(64) FxImage {
  uint16_t control = 0x37f;
  uint16_t status = 0;
  uint8_t tags = 0;  ///< abridged
  uint8_t reserved = 0;
  uint16_t opcode = 0;
  uint64_t instruction = 0;
  uint64_t operand = 0;
  uint32_t mxcsr = 0x1f80;
  uint32_t mxcsr_mask = 0;
  uint8_t st[8][16] = {};  ///< ST(i), not physical registers
  uint8_t xmm[16][16] = {};
  uint8_t rest[96] = {};
};
static_assert(sizeof(FxImage) == 512);

struct State {
  std::array<uint64_t, 16> gpr{};
  uint64_t rflags = 2;
  uint64_t rip = 0;
  FxImage fx;
};

/// Why a snippet stopped: at its end, or an exception.
struct Stop {
  static constexpr unsigned kEnd = 256, kSensitive = 257, kEndless = 258, kOther = 259;
  unsigned vector = kEnd;
  uint32_t error = 0;
  uint64_t cr2 = 0;
};

}  // namespace gnomon::vmm::native

#endif  // TESTS_NATIVE_CPU_STATE_H_

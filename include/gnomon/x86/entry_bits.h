// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_X86_ENTRY_BITS_H_
#define GNOMON_X86_ENTRY_BITS_H_

#include <cstdint>

namespace gnomon {

/// Bits shared by the entries of all x86 paging formats (SDM vol. 3, tables 4-4 to 4-20).
namespace pte {
inline constexpr uint64_t kPresent = 1u << 0;
inline constexpr uint64_t kWritable = 1u << 1;
inline constexpr uint64_t kUser = 1u << 2;
inline constexpr uint64_t kAccessed = 1u << 5;
inline constexpr uint64_t kDirty = 1u << 6;
inline constexpr uint64_t kLarge = 1u << 7;  ///< PS; PAT in a level-1 entry
inline constexpr uint64_t kGlobal = 1u << 8;
inline constexpr uint64_t kNoExecute = uint64_t{1} << 63;
inline constexpr unsigned kKeyShift = 59;
inline constexpr uint64_t kFrameMask = 0x000f'ffff'ffff'f000;
}  // namespace pte

/// Bits first..last set.
constexpr uint64_t bit_range(unsigned last, unsigned first) {
  return last < first ? 0
                      : (~uint64_t{0} >> (63 - last)) & (~uint64_t{0} << first);
}

}  // namespace gnomon

#endif  // GNOMON_X86_ENTRY_BITS_H_

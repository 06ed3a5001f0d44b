// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_BASE_UNITS_H_
#define GNOMON_BASE_UNITS_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace gnomon {

/// A page size, stored as the base-2 logarithm of its bytes, so that a new size needs no new code.
/// The named values are those of x86; k4M exists only in 32-bit paging with CR4.PSE.
enum class PageSize : uint8_t { k4K = 12, k2M = 21, k4M = 22, k1G = 30, k512G = 39 };

constexpr unsigned shift_of(PageSize size) { return static_cast<unsigned>(size); }
constexpr uint64_t bytes_of(PageSize size) { return uint64_t{1} << shift_of(size); }
constexpr uint64_t offset_mask(PageSize size) { return bytes_of(size) - 1; }
constexpr PageSize smaller(PageSize a, PageSize b) { return a < b ? a : b; }

/// "4K", "2M", …; "?" for a size that has no name.
constexpr absl::string_view name_of(PageSize size) {
  switch (size) {
    case PageSize::k4K: return "4K";
    case PageSize::k2M: return "2M";
    case PageSize::k4M: return "4M";
    case PageSize::k1G: return "1G";
    case PageSize::k512G: return "512G";
  }
  return "?";
}

inline namespace literals {
constexpr uint64_t operator""_KiB(unsigned long long n) { return n << 10; }
constexpr uint64_t operator""_MiB(unsigned long long n) { return n << 20; }
constexpr uint64_t operator""_GiB(unsigned long long n) { return n << 30; }
}  // namespace literals

}  // namespace gnomon

#endif  // GNOMON_BASE_UNITS_H_

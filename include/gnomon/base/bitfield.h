// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_BASE_BITFIELD_H_
#define GNOMON_BASE_BITFIELD_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/strings/string_view.h"

// A register or table entry described as a table of rows. Decoding for people, JSON, documentation
// and quiz questions all read the same rows; a static_assert on `rows_are_disjoint` keeps them honest.

namespace gnomon {

/// One bit or range of bits. `levels` says in which paging levels the row applies: bit n for level n.
/// `when_leaf` narrows it to entries that map a page, or that point to a table.
struct BitRow {
  enum class Kind : uint8_t { kAny, kLeaf, kTable };

  uint8_t high;
  uint8_t low;
  absl::string_view name;
  absl::string_view meaning;
  uint8_t levels = 0xff;
  Kind kind = Kind::kAny;

  constexpr uint64_t mask() const {
    const unsigned width = high - low + 1u;
    return (width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1) << low;
  }
  constexpr uint64_t extract(uint64_t value) const { return (value & mask()) >> low; }
};

constexpr uint8_t level_bit(unsigned level) { return static_cast<uint8_t>(1u << level); }

/// True if no two rows that can apply to the same entry share a bit.
consteval bool rows_are_disjoint(std::span<const BitRow> rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].high < rows[i].low || rows[i].high > 63) return false;
    for (size_t j = i + 1; j < rows.size(); ++j) {
      const bool same_level = (rows[i].levels & rows[j].levels) != 0;
      const bool same_kind = rows[i].kind == BitRow::Kind::kAny ||
                             rows[j].kind == BitRow::Kind::kAny || rows[i].kind == rows[j].kind;
      if (same_level && same_kind && (rows[i].mask() & rows[j].mask()) != 0) return false;
    }
  }
  return true;
}

/// The rows of `value` at `level` as text: one-bit rows by name when set, ranges as name=0x…;
/// for example "P W U A D pfn=0x1234".
std::string describe_bits(std::span<const BitRow> rows, unsigned level, bool leaf, uint64_t value);

}  // namespace gnomon

#endif  // GNOMON_BASE_BITFIELD_H_

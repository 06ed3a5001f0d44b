// SPDX-License-Identifier: Apache-2.0
#include "gnomon/base/bitfield.h"

#include "absl/strings/str_cat.h"

namespace gnomon {

std::string describe_bits(std::span<const BitRow> rows, unsigned level, bool leaf, uint64_t value) {
  std::string text;
  for (const BitRow& row : rows) {
    if ((row.levels & level_bit(level)) == 0) continue;
    if (row.kind == BitRow::Kind::kLeaf && !leaf) continue;
    if (row.kind == BitRow::Kind::kTable && leaf) continue;
    const uint64_t bits = row.extract(value);
    if (bits == 0) continue;
    if (!text.empty()) text += ' ';
    text += std::string(row.name.data(), row.name.size());
    if (row.high != row.low) absl::StrAppend(&text, "=0x", absl::Hex(bits));
  }
  return text;
}

}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#include "tools/units.h"

#include "absl/strings/str_cat.h"
#include "mmu/number.h"

namespace gnomon::tools {
absl::StatusOr<uint64_t> parse_bytes(absl::string_view text) { return parse_number(text, NumberUnit::kBytes); }
absl::StatusOr<uint64_t> parse_count(absl::string_view text) { return parse_number(text, NumberUnit::kCount); }

std::string with_separators(uint64_t n) {
  std::string text = absl::StrCat(n);
  for (size_t i = text.size(); i > 3;) {
    i -= 3;
    text.insert(i, 1, ',');
  }
  return text;
}

std::string count_of(uint64_t n, absl::string_view one, absl::string_view many) {
  return absl::StrCat(with_separators(n), " ", n == 1 ? one : many);
}

std::string short_bytes(uint64_t n) {
  constexpr absl::string_view kUnits = "KMGT";
  for (size_t i = kUnits.size(); i-- > 0;) {
    const uint64_t unit = uint64_t{1} << (10 * (i + 1));
    if (n >= unit && n % unit == 0) return absl::StrCat(n / unit, kUnits.substr(i, 1));
  }
  return with_separators(n) + " bytes";
}

}  // namespace gnomon::tools

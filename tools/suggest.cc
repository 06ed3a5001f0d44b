// SPDX-License-Identifier: Apache-2.0
#include "tools/suggest.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace gnomon::tools {
namespace {

/// Letters to insert, remove or replace to get from `a` to `b` (Levenshtein), one row at a time.
size_t edit_distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string did_you_mean(absl::string_view word, const std::vector<absl::string_view>& known) {
  constexpr size_t kLongestWord = 32;  // a longer one is no slip of the finger
  if (known.empty() || word.size() > kLongestWord) return {};
  const auto nearest =
      std::min_element(known.begin(), known.end(), [&](absl::string_view a, absl::string_view b) {
        return edit_distance(word, a) < edit_distance(word, b);
      });
  const size_t allowed = std::max<size_t>(2, nearest->size() / 3);
  if (edit_distance(word, *nearest) > allowed) return {};
  return absl::StrCat("; did you mean '", *nearest, "'?");
}

}  // namespace gnomon::tools

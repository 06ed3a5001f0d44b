// SPDX-License-Identifier: Apache-2.0
#include "tools/table.h"

#include <algorithm>

namespace gnomon::tools {
namespace {

/// Characters, of which UTF-8 has several bytes.
size_t width(absl::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace


std::string Table::to_string() const {
  std::vector<size_t> widths;
  for (const Row& row : rows_) {
    if (row.heading) continue;
    widths.resize(std::max(widths.size(), row.cells.size()));
    for (size_t i = 0; i < row.cells.size(); ++i) {
      widths[i] = std::max(widths[i], width(row.cells[i]));
    }
  }

  constexpr size_t kGap = 2;
  std::string text;
  for (const Row& row : rows_) {
    for (size_t i = 0; i < row.cells.size(); ++i) {
      const std::string& cell = row.cells[i];
      const size_t blanks = row.heading ? 0 : widths[i] - width(cell);
      if (i > 0) text.append(kGap, ' ');
      const bool right = i > 0 && others_ == Align::kRight;
      if (right) text.append(blanks, ' ');
      text += cell;
      if (!right) text.append(blanks, ' ');
    }
    text.resize(text.find_last_not_of(' ') == std::string::npos ? 0
                                                                : text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

}  // namespace gnomon::tools

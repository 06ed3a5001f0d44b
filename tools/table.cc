// SPDX-License-Identifier: Apache-2.0
#include "tools/table.h"

#include <algorithm>

namespace gnomon::tools {

std::string Table::to_string() const {
  std::vector<size_t> widths;
  for (const Row& row : rows_) {
    if (row.heading) continue;
    widths.resize(std::max(widths.size(), row.cells.size()));
    for (size_t i = 0; i < row.cells.size(); ++i) {
      widths[i] = std::max(widths[i], row.cells[i].size());
    }
  }

  constexpr size_t kGap = 2;
  std::string text;
  for (const Row& row : rows_) {
    for (size_t i = 0; i < row.cells.size(); ++i) {
      const std::string& cell = row.cells[i];
      const size_t blanks = row.heading ? 0 : widths[i] - cell.size();
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

// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_TABLE_H_
#define TOOLS_TABLE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace gnomon::tools {

/// Plain text in columns, as wide as their longest cell: the first flush left, the others as told.
class Table {
 public:
  enum class Align { kLeft, kRight };

  explicit Table(Align others = Align::kRight) : others_(others) {}

  void add_row(std::vector<std::string> cells) { rows_.push_back({std::move(cells), false}); }
  /// A line of its own that takes no part in the widths.
  void add_heading(absl::string_view text) { rows_.push_back({{std::string(text)}, true}); }

  /// Lines without blanks at their ends.
  std::string to_string() const;

 private:
  struct Row {
    std::vector<std::string> cells;
    bool heading;
  };
  Align others_;
  std::vector<Row> rows_;
};

}  // namespace gnomon::tools

#endif  // TOOLS_TABLE_H_

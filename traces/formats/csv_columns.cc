// SPDX-License-Identifier: Apache-2.0
#include "traces/formats/csv_columns.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace gnomon {

std::string CsvHeader::parse(absl::string_view line, bool ignore_unknown) {
  constexpr size_t kMostColumns = 64;
  columns_.clear();
  absl::ConsumePrefix(&line, "\xef\xbb\xbf");  // the mark that spreadsheets put in front of UTF-8
  for (absl::string_view name : absl::StrSplit(line, ',')) {
    if (name.size() >= 2 && name.front() == '"' && name.back() == '"') {
      name = name.substr(1, name.size() - 2);
    }
    const auto found = std::find(kCsvNames.begin(), kCsvNames.end(), name);
    const auto column = static_cast<CsvColumn>(found - kCsvNames.begin());
    if (column == CsvColumn::kCount && !ignore_unknown) {
      return absl::StrCat("column \"", name.substr(0, 40), "\" is unknown");
    }
    if (column != CsvColumn::kCount &&
        std::find(columns_.begin(), columns_.end(), column) != columns_.end()) {
      return absl::StrCat("column ", name, " comes twice");
    }
    if (columns_.size() == kMostColumns) return "more than 64 columns";
    columns_.push_back(column);
  }
  usual_ = columns_.size() >= 3 && columns_[0] == CsvColumn::kOp &&
           columns_[1] == CsvColumn::kAddress && columns_[2] == CsvColumn::kSize;
  for (const CsvColumn needed : {CsvColumn::kOp, CsvColumn::kAddress, CsvColumn::kSize}) {
    if (std::find(columns_.begin(), columns_.end(), needed) == columns_.end()) {
      return absl::StrCat("no header line with op, address and size: column ",
                          kCsvNames[static_cast<size_t>(needed)], " is missing");
    }
  }
  return "";
}

const char* CsvHeader::split(absl::string_view text, CsvRow& row, std::string& scratch) const {
  row.fill({});
  scratch.clear();
  scratch.reserve(text.size());  // so that cells in it stay where they are
  const char* p = text.data();
  const char* const end = p + text.size();
  for (size_t i = 0;; ++i) {
    absl::string_view cell;
    if (p != end && *p == '"') {
      const size_t start = scratch.size();
      for (++p;; ++p) {
        if (p == end) return "a quote is not closed";
        if (*p == '"' && (++p == end || *p != '"')) break;
        scratch += *p;
      }
      if (p != end && *p != ',') return "text behind a closing quote";
      cell = absl::string_view(scratch).substr(start);
    } else {
      const char* const start = p;
      while (p != end && *p != ',' && *p != '"') ++p;
      if (p != end && *p == '"') return "a quote inside a field that does not start with one";
      cell = absl::string_view(start, static_cast<size_t>(p - start));
    }
    if (i < columns_.size()) {
      if (columns_[i] != CsvColumn::kCount) row[static_cast<size_t>(columns_[i])] = cell;
    } else if (!cell.empty()) {
      return "more fields than the header has columns";
    }
    if (p == end) return nullptr;
    ++p;
  }
}

}  // namespace gnomon

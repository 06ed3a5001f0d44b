// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_FORMATS_CSV_COLUMNS_H_
#define TRACES_FORMATS_CSV_COLUMNS_H_

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gnomon/traces/event.h"

// op,address,size,process,thread,flags,length,value,extra,file,text
//
// op says what a row is: I, L (or R), S (or W), M: a memory operation; the name of an event
// (event_table); or info, with "key=value" as its text. RFC 4180 quoting; rows may end early.

namespace gnomon {

enum class CsvColumn : uint8_t {
  kOp,
  kAddress,
  kSize,
  kProcess,
  kThread,
  kFlags,
  kLength,
  kValue,
  kExtra,
  kFile,
  kText,
  kCount
};
inline constexpr size_t kCsvColumns = static_cast<size_t>(CsvColumn::kCount);
inline constexpr std::array<absl::string_view, kCsvColumns> kCsvNames = {
    "op",     "address", "size",  "process", "thread", "flags",
    "length", "value",   "extra", "file",    "text"};
/// The field of an event that stands in each column; 0: none.
inline constexpr std::array<EventFields, kCsvColumns> kCsvFields = {
    0,           kFieldAddress, 0,          kFieldProcess, kFieldThread, kFieldFlags, kFieldLength,
    kFieldValue, kFieldExtra,   kFieldFile, kFieldText};

/// The cells of a row, by column; those that it lacks are empty.
using CsvRow = std::array<absl::string_view, kCsvColumns>;

/// The columns of a file, by their place in it.
class CsvHeader {
 public:
  /// Empty string: good. Otherwise what is wrong with this header line. Unknown columns are wrong
  /// unless `ignore_unknown`.
  std::string parse(absl::string_view line, bool ignore_unknown);
  /// The cells of `text`, a whole row. Quoted ones lie in `scratch` if they hold quotes. Null:
  /// good.
  const char* split(absl::string_view text, CsvRow& row, std::string& scratch) const;
  /// The columns begin as in most files, which can be read faster: op,address,size.
  bool is_usual() const { return usual_; }

 private:
  std::vector<CsvColumn> columns_;  // kCount: to be ignored
  bool usual_ = false;
};

}  // namespace gnomon

#endif  // TRACES_FORMATS_CSV_COLUMNS_H_

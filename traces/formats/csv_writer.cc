// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "traces/formats/all.h"
#include "traces/formats/csv_columns.h"
#include "traces/formats/writer_base.h"

namespace gnomon {
namespace {

std::string quoted_cell(absl::string_view text) {
  if (text.find_first_of(",\"\r\n") == absl::string_view::npos) return std::string(text);
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

class CsvWriter final : public WriterBase {
 public:
  CsvWriter(std::unique_ptr<ByteSink> sink, const TraceInfo& info) : WriterBase(std::move(sink)) {
    absl::StrAppend(&text_, absl::StrJoin(kCsvNames, ","), "\n");
    put_info("program", info.program);
    put_info("recorder", info.recorder);
    put_info("machine", info.machine);
    put_info("note", info.note);
    if (info.physical) put_info("physical", "1");
    if (info.guest) put_info("guest", "1");
    if (info.references) put_info("references", absl::StrCat(*info.references));
  }

 private:
  void put_info(absl::string_view key, absl::string_view value) {
    if (value.empty()) return;
    const std::string text = absl::StrCat(key, "=", value).substr(0, kMaxEventText);
    absl::StrAppend(&text_, "info,,,,,,,,,,", quoted_cell(text), "\n");
  }

  void put(const TraceRecord& record) override {
    static constexpr absl::string_view kFront[] = {"I,0x", "L,0x", "S,0x", "M,0x"};
    absl::StrAppend(&text_, kFront[static_cast<size_t>(record.kind)],
                    absl::Hex(record.address.value()), ",", record.size,
                    record.supervisor ? ",,,1\n" : "\n");
  }

  void put_event(const TraceEvent& event) override {
    const EventInfo& row = info(event.kind);
    text_.append(row.name.data(), row.name.size());
    size_t commas = 0;  // owed: a row ends with its last field
    for (size_t i = 1; i < kCsvColumns; ++i) {
      ++commas;
      if ((kCsvFields[i] & row.fields) == 0) continue;
      const std::string cell = cell_of(event, static_cast<CsvColumn>(i));
      if (cell.empty()) continue;
      text_.append(commas, ',').append(cell);
      commas = 0;
    }
    text_ += '\n';
  }

  static std::string cell_of(const TraceEvent& event, CsvColumn column) {
    switch (column) {
      case CsvColumn::kAddress: return absl::StrCat("0x", absl::Hex(event.address));
      case CsvColumn::kProcess: return absl::StrCat(event.process);
      case CsvColumn::kThread: return absl::StrCat(event.thread);
      case CsvColumn::kFlags: return absl::StrCat(event.flags);
      case CsvColumn::kLength: return absl::StrCat(event.length);
      case CsvColumn::kValue: return absl::StrCat("0x", absl::Hex(event.value));
      case CsvColumn::kExtra: return absl::StrCat("0x", absl::Hex(event.extra));
      case CsvColumn::kFile: return absl::StrCat(event.file);
      case CsvColumn::kText:
        return quoted_cell(absl::string_view(event.text).substr(0, kMaxEventText));
      default: return "";
    }
  }
};

}  // namespace

Writer create_csv_writer(std::unique_ptr<ByteSink> sink, const TraceInfo& info) {
  return std::make_unique<CsvWriter>(std::move(sink), info);
}

}  // namespace gnomon

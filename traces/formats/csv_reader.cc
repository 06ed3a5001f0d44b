// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "traces/formats/all.h"
#include "traces/formats/csv_columns.h"
#include "traces/formats/line_reader.h"

namespace gnomon {
namespace {

/// Hexadecimal with 0x, or decimal.
bool parse_number(absl::string_view text, uint64_t& value) {
  value = 0;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    text.remove_prefix(2);
    if (text.size() > 16) return false;
    for (const char c : text) {
      const uint8_t digit = kHex[static_cast<uint8_t>(c)];
      if (digit == kNoDigit) return false;
      value = value << 4 | digit;
    }
    return true;
  }
  if (text.empty() || text.size() > 20) return false;
  for (const char c : text) {
    const unsigned digit = static_cast<uint8_t>(c) - unsigned{'0'};
    if (digit > 9 || value > (std::numeric_limits<uint64_t>::max() - digit) / 10) return false;
    value = value * 10 + digit;
  }
  return true;
}

bool operation_of(absl::string_view op, RecordKind& kind) {
  if (op.size() != 1) return false;
  switch (op[0]) {
    case 'I': kind = RecordKind::kFetch; return true;
    case 'L':
    case 'R': kind = RecordKind::kLoad; return true;
    case 'S':
    case 'W': kind = RecordKind::kStore; return true;
    case 'M': kind = RecordKind::kModify; return true;
    default: return false;
  }
}

/// "L,0x1000,8" and nothing else, as most rows are. False: look closer.
bool scan_usual(absl::string_view text, TraceRecord& record) {
  constexpr size_t kMostDigits = 16;
  if (text.size() < 7 || text[1] != ',' || text[2] != '0' || text[3] != 'x' ||
      !operation_of(text.substr(0, 1), record.kind)) {
    return false;
  }
  const char* p = text.data() + 4;
  const char* const end = text.data() + text.size();
  uint64_t address = 0, size = 0;
  const char* const digits = p;
  for (uint8_t d; p != end && (d = kHex[static_cast<uint8_t>(*p)]) != kNoDigit; ++p) {
    address = address << 4 | d;
  }
  if (static_cast<size_t>(p - digits) - 1 >= kMostDigits || p == end || *p++ != ',') return false;
  if (end - p > 4) return false;  // more than any good size
  for (; p != end; ++p) {
    const unsigned digit = static_cast<uint8_t>(*p) - unsigned{'0'};
    if (digit > 9) return false;
    size = size * 10 + digit;
  }
  if (operation_fault(address, size) != nullptr) return false;
  record.address = Gva(address);
  record.size = static_cast<uint16_t>(size);
  record.supervisor = false;
  return true;
}

const EventInfo* event_of(absl::string_view op) {
  for (const EventInfo& row : event_table()) {
    if (row.name == op) return &row;
  }
  return nullptr;
}

const absl::string_view& cell(const CsvRow& row, CsvColumn column) {
  return row[static_cast<size_t>(column)];
}

class CsvReader final : public LineReader {
 public:
  CsvReader(std::unique_ptr<ByteSource> source, ReadMode mode)
      : LineReader(std::move(source), mode, "csv", kReadBuffer) {}

 private:
  static constexpr size_t kMost = 2;  // a switch and what the row says
  static constexpr size_t kMostRowBytes = size_t{16} << 10;

  size_t decode(absl::Span<TraceRecord> out, std::vector<TraceEvent>& events) override {
    size_t taken = 0;
    from_line(0, lines_ + 1);
    while (taken + kMost <= out.size() && have_line()) {
      absl::string_view row;
      if (!take_row(row)) continue;
      if (!has_header_ || row.empty()) {
        if (!has_header_) take_header(row);
        from_line(taken, lines_ + 1);
      } else if (header_.is_usual() && scan_usual(row, out[taken])) {
        started_ = true;
        ++taken;
      } else {
        const size_t got = take(row, &out[taken], events);
        for (size_t i = 0; i < got; ++i) from_line(taken++, row_line_);
        from_line(taken, lines_ + 1);
      }
      open_row_.clear();
    }
    if (taken == 0 && !stopped() && !open_row_.empty()) {
      open_row_.clear();
      row_fault("the file ends inside a quoted field");
    }
    return taken;
  }

  /// Adds a line to the row; true if that completes it: quoted fields may hold newlines.
  bool take_row(absl::string_view& row) {
    const absl::string_view line = take_raw_line();
    if (open_row_.empty()) {
      row_line_ = lines_;
      row_offset_ = offset_of(line.data());
      quotes_ = 0;
    }
    if (memchr(line.data(), '"', line.size()) != nullptr) {
      quotes_ += static_cast<size_t>(std::count(line.begin(), line.end(), '"'));
    }
    row = line;
    if (quotes_ % 2 != 0 || !open_row_.empty()) {
      absl::StrAppend(&open_row_, line);
      row = open_row_;
    }
    if (quotes_ % 2 != 0) {
      open_row_ += '\n';
      if (open_row_.size() > kMostRowBytes) {
        open_row_.clear();
        row_fault("a quote is not closed within 16384 bytes");
      }
      return false;
    }
    if (!row.empty() && row.back() == '\r') row.remove_suffix(1);
    return true;
  }

  void take_header(absl::string_view row) {
    has_header_ = true;
    const std::string wrong = header_.parse(row, /*ignore_unknown=*/false);
    if (wrong.empty()) return;
    row_fault(wrong);
    if (stopped() || header_.parse(row, /*ignore_unknown=*/true).empty()) return;
    give_up();  // no row means anything without it
  }

  size_t take(absl::string_view text, TraceRecord* out, std::vector<TraceEvent>& events) {
    CsvRow row;
    if (const char* const wrong = header_.split(text, row, scratch_); wrong != nullptr) {
      return row_fault(absl::StrCat(wrong, ": ", quoted(text)));
    }
    const absl::string_view op = cell(row, CsvColumn::kOp);
    RecordKind kind;
    if (operation_of(op, kind)) return take_operation(kind, row, out, events);
    if (op == "info") return take_info(cell(row, CsvColumn::kText));
    if (const EventInfo* const event = event_of(op); event != nullptr) {
      return take_event(*event, row, out, events);
    }
    return row_fault(absl::StrCat("op is no operation (I, L, S, M) and no event: ", quoted(op)));
  }

  size_t take_operation(RecordKind kind, const CsvRow& row, TraceRecord* out,
                        std::vector<TraceEvent>& events) {
    constexpr EventFields kOwn = kFieldAddress | kFieldProcess | kFieldThread | kFieldFlags;
    uint64_t address, size, flags = 0;
    if (!number(row, CsvColumn::kAddress, address) || !number(row, CsvColumn::kSize, size))
      return 0;
    if (!cell(row, CsvColumn::kFlags).empty() && !number(row, CsvColumn::kFlags, flags)) return 0;
    if (flags > 1) return row_fault("flags of a memory operation are 0 or 1 (by the kernel)");
    if (const char* const wrong = operation_fault(address, size); wrong != nullptr) {
      return row_fault(absl::StrFormat("size %d at 0x%x: %s", size, address, wrong));
    }
    if (!no_other_cells(row, kOwn, "a memory operation")) return 0;
    size_t taken = 0;
    if (!take_switch(row, out, events, taken)) return 0;
    out[taken] = {Gva(address), static_cast<uint16_t>(size), kind, flags == 1};
    return taken + 1;
  }

  size_t take_event(const EventInfo& kind, const CsvRow& row, TraceRecord* out,
                    std::vector<TraceEvent>& events) {
    constexpr EventFields kWho = kFieldProcess | kFieldThread;
    const bool of_current = (kind.fields & kWho) == 0;
    if (!cell(row, CsvColumn::kSize).empty()) return row_fault("an event takes no size");
    if (!no_other_cells(row, of_current ? kind.fields | kWho : kind.fields, kind.name)) return 0;
    TraceEvent event;
    event.kind = kind.kind;
    uint64_t process = 0, thread = 0, flags = 0;
    const std::pair<CsvColumn, uint64_t*> numbers[] = {
        {CsvColumn::kProcess, &process},     {CsvColumn::kThread, &thread},
        {CsvColumn::kFlags, &flags},         {CsvColumn::kAddress, &event.address},
        {CsvColumn::kLength, &event.length}, {CsvColumn::kValue, &event.value},
        {CsvColumn::kExtra, &event.extra},   {CsvColumn::kFile, &event.file}};
    for (const auto& [column, to] : numbers) {
      if (!cell(row, column).empty() && !number(row, column, *to)) return 0;
    }
    if (std::max({process, thread, flags}) > std::numeric_limits<uint32_t>::max()) {
      return row_fault("process, thread and flags are 32-bit numbers");
    }
    if (cell(row, CsvColumn::kText).size() > kMaxEventText) {
      return row_fault("a text of more than 4096 bytes");
    }
    event.flags = static_cast<uint32_t>(flags);
    event.text = std::string(cell(row, CsvColumn::kText));
    size_t taken = 0;
    if (of_current) {
      if (!take_switch(row, out, events, taken)) return 0;
    } else {
      event.process = static_cast<uint32_t>(process);
      event.thread = static_cast<uint32_t>(thread);
    }
    if (event.kind == EventKind::kSwitch) running_ = {event.process, event.thread};
    out[taken] = add_event(events, std::move(event));
    started_ = true;
    return taken + 1;
  }

  /// Process and thread of a row that is about what the current ones do: a switch if they are
  /// others.
  bool take_switch(const CsvRow& row, TraceRecord* out, std::vector<TraceEvent>& events,
                   size_t& taken) {
    started_ = true;
    const bool has_process = !cell(row, CsvColumn::kProcess).empty();
    const bool has_thread = !cell(row, CsvColumn::kThread).empty();
    if (!has_process && !has_thread) return true;
    uint64_t process = running_.first, thread = 0;
    if (has_process && !number(row, CsvColumn::kProcess, process)) return false;
    if (has_thread && !number(row, CsvColumn::kThread, thread)) return false;
    if (!has_thread && process == running_.first) thread = running_.second;
    if (std::max(process, thread) > std::numeric_limits<uint32_t>::max()) {
      return row_fault("process and thread are 32-bit numbers") != 0;
    }
    const std::pair who(static_cast<uint32_t>(process), static_cast<uint32_t>(thread));
    if (who == running_) return true;
    running_ = who;
    out[taken++] = add_event(events, EventKind::kSwitch, who.first, who.second);
    return true;
  }

  size_t take_info(absl::string_view text) {
    const std::pair<absl::string_view, absl::string_view> both =
        absl::StrSplit(text, absl::MaxSplits('=', 1));
    if (started_) return row_fault("info comes before all else");
    if (text.size() > kMaxEventText) return row_fault("a text of more than 4096 bytes");
    uint64_t references;
    if (both.first == "program")
      info_.program = std::string(both.second);
    else if (both.first == "recorder")
      info_.recorder = std::string(both.second);
    else if (both.first == "machine")
      info_.machine = std::string(both.second);
    else if (both.first == "note")
      info_.note = std::string(both.second);
    else if (text == "physical=1")
      info_.physical = true;
    else if (text == "guest=1")
      info_.guest = true;
    else if (both.first == "references" && parse_number(both.second, references))
      info_.references = references;
    else
      return row_fault(absl::StrCat("info of an unknown kind: ", quoted(text)));
    return 0;
  }

  bool number(const CsvRow& row, CsvColumn column, uint64_t& value) {
    if (parse_number(cell(row, column), value)) return true;
    row_fault(absl::StrCat(kCsvNames[static_cast<size_t>(column)],
                           " is no number: ", quoted(cell(row, column))));
    return false;
  }

  bool no_other_cells(const CsvRow& row, EventFields fields, absl::string_view of) {
    for (size_t i = 0; i < kCsvColumns; ++i) {
      if (kCsvFields[i] != 0 && (kCsvFields[i] & fields) == 0 && !row[i].empty()) {
        row_fault(absl::StrCat(of, " takes no ", kCsvNames[i]));
        return false;
      }
    }
    return true;
  }

  size_t row_fault(absl::string_view what) {
    fault(absl::StrFormat("line %d (byte %d)", row_line_, row_offset_), what);
    return 0;
  }

  CsvHeader header_;
  bool has_header_ = false;
  bool started_ = false;  // a record or event was taken
  std::string open_row_;  // lines so far of a row with a newline in it
  size_t quotes_ = 0;     // in the row
  uint64_t row_line_ = 0;
  uint64_t row_offset_ = 0;
  std::string scratch_;
  std::pair<uint32_t, uint32_t> running_{0, 0};
};

}  // namespace

bool is_csv(absl::string_view front) {
  CsvHeader header;
  absl::string_view line = front.substr(0, front.find('\n'));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return header.parse(line, /*ignore_unknown=*/true).empty();
}

Reader make_csv_reader(std::unique_ptr<ByteSource> source, ReadMode mode) {
  return std::make_unique<CsvReader>(std::move(source), mode);
}

}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/lackey.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "traces/formats/line_reader.h"
#include "traces/formats/writer_base.h"

namespace gnomon {
namespace {

constexpr std::array<uint8_t, 256> data_kinds() {
  std::array<uint8_t, 256> kinds{};
  kinds.fill(kNoDigit);
  kinds['L'] = static_cast<uint8_t>(RecordKind::kLoad);
  kinds['S'] = static_cast<uint8_t>(RecordKind::kStore);
  kinds['M'] = static_cast<uint8_t>(RecordKind::kModify);
  return kinds;
}
constexpr std::array<uint8_t, 256> kDataKind = data_kinds();

constexpr size_t kMaxHexDigits = 16;
constexpr size_t kMaxSizeDigits = 9;  // fits in 32 bits whatever they are

uint8_t byte(char c) { return static_cast<uint8_t>(c); }

/// Reads a record from a line that ends in a newline; returns where the line ends, nullptr if it is
/// no record. Each step looks at one character more only after one that is no newline, so that
/// nothing beyond the line is read and no length is checked.
inline const char* scan_record(const char* p, TraceRecord& record) {
  if (p[0] == 'I') {
    if (p[1] != ' ' || p[2] != ' ') return nullptr;
    record.kind = RecordKind::kFetch;
  } else {
    if (p[0] != ' ') return nullptr;
    const uint8_t kind = kDataKind[byte(p[1])];
    if (kind == kNoDigit || p[2] != ' ') return nullptr;
    record.kind = static_cast<RecordKind>(kind);
  }
  p += 3;
  uint64_t address = 0;
  const char* const digits = p;
  for (uint8_t d; (d = kHex[byte(*p)]) != kNoDigit; ++p) address = address << 4 | d;
  const auto address_digits = static_cast<size_t>(p - digits);
  if (address_digits - 1 >= kMaxHexDigits || *p != ',') return nullptr;
  const char* const size_digits = ++p;
  uint32_t size = 0;
  for (unsigned d; (d = byte(*p) - unsigned{'0'}) < 10; ++p) size = size * 10 + d;
  if (static_cast<size_t>(p - size_digits) - 1 >= kMaxSizeDigits) return nullptr;
  if (*p == '\r') ++p;
  if (*p != '\n') return nullptr;
  record.address = Gva(address);
  record.size = static_cast<uint16_t>(std::min<uint32_t>(size, 0xffff));
  return p + 1;
}

/// Length of valgrind's mark at the front of `text` ("==42==", "--42--", "**42**"); 0 if it is
/// none.
size_t mark_length(absl::string_view text) {
  if (text.size() < 5) return 0;
  const char c = text[0];
  if ((c != '=' && c != '-' && c != '*') || text[1] != c) return 0;
  size_t i = 2;
  while (i < text.size() && absl::ascii_isdigit(byte(text[i]))) ++i;
  return i > 2 && i + 1 < text.size() && text[i] == c && text[i + 1] == c ? i + 2 : 0;
}

/// Where valgrind's mark starts in `text`; npos if nowhere.
size_t find_mark(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (mark_length(text.substr(i)) != 0) return i;
  }
  return absl::string_view::npos;
}

/// What valgrind says of a recording ("==42== Command: ls -l").
void take_note(absl::string_view note, TraceInfo& info) {
  if (note.size() >= 1) note.remove_prefix(mark_length(note));
  absl::ConsumePrefix(&note, " ");
  if (absl::ConsumePrefix(&note, "Command: ") && info.program.empty()) {
    info.program = std::string(note);
  } else if (absl::ConsumePrefix(&note, "Using ") && info.recorder.empty()) {
    info.recorder = absl::StrCat("lackey, ", note.substr(0, note.find(" and ")));
  }
}

bool is_note(absl::string_view line) {
  // A system call's result may come on a line of its own.
  return line.empty() || mark_length(line) != 0 || absl::StartsWith(line, "SYSCALL") ||
         absl::StartsWith(line, " -->");
}

const char* record_fault(const TraceRecord& record) {
  return operation_fault(record.address.value(), record.size);
}

/// The record in the front of a line, up to a message glued to it.
bool scan_front(absl::string_view front, TraceRecord& record) {
  const std::string line = absl::StrCat(front, "\n");
  return scan_record(line.data(), record) != nullptr;
}

class LackeyReader final : public LineReader {
 public:
  LackeyReader(std::unique_ptr<ByteSource> source, ReadMode mode, size_t buffer_bytes)
      : LineReader(std::move(source), mode, "lackey", std::max<size_t>(buffer_bytes, 64)) {}

 private:
  size_t decode(absl::Span<TraceRecord> out, std::vector<TraceEvent>& /*events*/) override {
    size_t taken = 0;
    from_line(0, lines_ + 1);
    while (taken < out.size() && have_line()) {
      TraceRecord& record = out[taken];
      record.supervisor = false;
      const char* const after = scan_record(next_, record);
      if (after != nullptr && record_fault(record) == nullptr) [[likely]] {
        next_ += after - next_;
        ++lines_;
        ++taken;
        if (last_line_cut()) warn(place_of(after), "the recording was cut off after its last line");
        continue;
      }
      if (take_odd_line(record)) ++taken;
      from_line(taken, lines_ + 1);
    }
    return taken;
  }

  /// Anything but a good record. True if a record was in it.
  bool take_odd_line(TraceRecord& record) {
    const absl::string_view line = take_line();
    if (is_note(line)) {
      if (stats_.records == 0) take_note(line, info_);
      return false;
    }
    if (const size_t mark = find_mark(line); mark != absl::string_view::npos) {
      if (scan_front(line.substr(0, mark), record) && record_fault(record) == nullptr) return true;
      warn(place_of(line.data()), absl::StrCat("a message cuts a record short: ", quoted(line)));
      return false;
    }
    const bool is_record = scan_front(line, record);
    if (!is_record && last_line_cut()) {  // half a record is no error, but not a record either
      warn(place_of(line.data()), "the recording was cut off inside this line");
      return false;
    }
    line_fault(is_record ? record_fault(record) : "not a lackey record", line);
    return false;
  }
};

class LackeyWriter final : public WriterBase {
 public:
  using WriterBase::WriterBase;

 private:
  void put(const TraceRecord& record) override {
    static constexpr absl::string_view kFront[] = {"I  ", " L ", " S ", " M "};
    absl::StrAppend(&text_, kFront[static_cast<size_t>(record.kind)],
                    absl::Hex(record.address.value(), absl::kZeroPad8), ",", record.size, "\n");
  }
};

}  // namespace

std::unique_ptr<TraceReader> make_lackey_reader(std::unique_ptr<ByteSource> source, ReadMode mode,
                                                size_t buffer_bytes) {
  return std::make_unique<LackeyReader>(std::move(source), mode, buffer_bytes);
}

absl::StatusOr<std::unique_ptr<TraceWriter>> create_lackey_writer(std::unique_ptr<ByteSink> sink,
                                                                  const TraceInfo& /*info*/) {
  return std::make_unique<LackeyWriter>(std::move(sink));
}

bool is_lackey(absl::string_view front) {
  while (!front.empty()) {
    const size_t newline = front.find('\n');
    absl::string_view line = front.substr(0, newline);
    if (newline == absl::string_view::npos) break;  // perhaps not all of the line is here
    front.remove_prefix(newline + 1);
    absl::ConsumeSuffix(&line, "\r");
    if (absl::StrContains(line, "Lackey, an example Valgrind tool")) return true;
    if (is_note(line)) continue;
    TraceRecord record;
    return scan_front(line.substr(0, find_mark(line)), record);
  }
  return false;
}

}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "traces/formats/all.h"
#include "traces/formats/line_reader.h"
#include "traces/formats/writer_base.h"

//   0x4004d6: R 0x7ffd1c1e1a58            the instruction, read or write, where
//   0x4004da: W 0x7ffd1c1e1a50 8 0x2a     some versions add the size, and more
//   #eof

namespace gnomon {
namespace {

struct PinAccess {
  uint64_t instruction = 0;  // 0: not told
  uint64_t address = 0;
  std::optional<uint16_t> size;
  RecordKind kind = RecordKind::kLoad;
};

/// "0x12ab" or what C libraries print for a null pointer.
bool take_pointer(absl::string_view& text, uint64_t& value) {
  value = 0;
  if (absl::ConsumePrefix(&text, "(nil)")) return true;
  if (!absl::ConsumePrefix(&text, "0x")) return false;
  size_t digits = 0;
  for (; digits < text.size(); ++digits) {
    const uint8_t digit = kHex[static_cast<uint8_t>(text[digits])];
    if (digit == kNoDigit) break;
    value = value << 4 | digit;
  }
  text.remove_prefix(digits);
  return digits - 1 < 16;
}

bool take_spaces(absl::string_view& text) {
  size_t n = 0;
  while (n < text.size() && (text[n] == ' ' || text[n] == '\t')) ++n;
  text.remove_prefix(n);
  return n > 0;
}

bool scan_access(absl::string_view text, PinAccess& access) {
  if (!take_pointer(text, access.instruction) || !absl::ConsumePrefix(&text, ":")) return false;
  take_spaces(text);
  if (text.empty() || (text[0] != 'R' && text[0] != 'W')) return false;
  access.kind = text[0] == 'R' ? RecordKind::kLoad : RecordKind::kStore;
  text.remove_prefix(1);
  if (!take_spaces(text) || !take_pointer(text, access.address)) return false;
  access.size.reset();
  if (text.empty()) return true;
  if (!take_spaces(text)) return false;
  const absl::string_view column = text.substr(0, text.find_first_of(" \t"));
  uint32_t size;
  if (!column.empty() && absl::ascii_isdigit(static_cast<uint8_t>(column[0])) &&
      absl::SimpleAtoi(column, &size) && size - 1 < kMaxRecordBytes) {
    access.size = static_cast<uint16_t>(size);
  }
  return true;  // a column that cannot be a size is one that we do not know
}

class PinatraceReader final : public LineReader {
 public:
  PinatraceReader(std::unique_ptr<ByteSource> source, ReadMode mode)
      : LineReader(std::move(source), mode, "pinatrace", kReadBuffer) {}

 private:
  static constexpr size_t kMost = 2;  // a fetch and an access

  size_t decode(absl::Span<TraceRecord> out, std::vector<TraceEvent>& /*events*/) override {
    size_t taken = 0;
    while (taken + kMost <= out.size() && have_line()) {
      const absl::string_view line = take_line();
      if (line == "#eof") complete_trace_ = true;
      if (line.empty() || line[0] == '#') continue;
      const size_t got = take(line, &out[taken]);
      for (size_t i = 0; i < got; ++i) from_line(taken++, lines_);
    }
    if (taken == 0 && !stopped() && lines_ > 0 && !complete_trace_) {
      warn(absl::StrCat("line ", lines_), "the trace may be cut off: it does not end in #eof");
    }
    return taken;
  }

  size_t take(absl::string_view line, TraceRecord* out) {
    PinAccess access;
    if (!scan_access(line, access)) {
      if (last_line_cut()) return 0;  // the missing #eof says it
      line_fault("not a pinatrace record", line);
      return 0;
    }
    const uint16_t size = access.size.value_or(assumed_size(access.address));
    const char* wrong = operation_fault(access.address, size);
    if (wrong == nullptr) wrong = operation_fault(access.instruction, 1);
    if (wrong != nullptr) {
      line_fault(wrong, line);
      return 0;
    }
    size_t taken = 0;
    if (access.instruction != instruction_ && access.instruction != 0) {
      // Nothing tells its length; one byte is on a page that it surely uses.
      out[taken++] = {Gva(access.instruction), 1, RecordKind::kFetch, false};
    }
    instruction_ = access.instruction;
    out[taken++] = {Gva(access.address), size, access.kind, false};
    return taken;
  }

  uint64_t instruction_ = 0;
  bool complete_trace_ = false;
};

class PinatraceWriter final : public WriterBase {
 public:
  using WriterBase::WriterBase;

 private:
  void put(const TraceRecord& record) override {
    const uint64_t address = record.address.value();
    if (record.kind == RecordKind::kFetch) {
      if (!written_) leave_out();  // no access, no line
      written_ = false;
      instruction_ = address;
      return;
    }
    if (record.kind != RecordKind::kStore) line("R", address);
    if (record.kind != RecordKind::kLoad) line("W", address);
  }
  void put_end() override {
    if (!written_) leave_out();
    text_ += "#eof\n";
  }
  void line(absl::string_view op, uint64_t address) {
    absl::StrAppend(&text_, "0x", absl::Hex(instruction_), ": ", op, " 0x", absl::Hex(address),
                    "\n");
    written_ = true;
  }

  uint64_t instruction_ = 0;
  bool written_ = true;  // a line names the current instruction
};

}  // namespace

bool is_pinatrace(absl::string_view front) {
  while (!front.empty()) {
    const size_t newline = front.find('\n');
    if (newline == absl::string_view::npos) break;
    absl::string_view line = front.substr(0, newline);
    front.remove_prefix(newline + 1);
    absl::ConsumeSuffix(&line, "\r");
    if (line == "#eof") return true;
    if (line.empty() || line[0] == '#') continue;
    PinAccess access;
    return scan_access(line, access);
  }
  return false;
}

Reader make_pinatrace_reader(std::unique_ptr<ByteSource> source, ReadMode mode) {
  return std::make_unique<PinatraceReader>(std::move(source), mode);
}
Writer create_pinatrace_writer(std::unique_ptr<ByteSink> sink, const TraceInfo& /*info*/) {
  return std::make_unique<PinatraceWriter>(std::move(sink));
}

}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_FORMATS_LINE_READER_H_
#define TRACES_FORMATS_LINE_READER_H_

#include <array>
#include <string>

#include "absl/strings/string_view.h"
#include "traces/formats/reader_base.h"

namespace gnomon {

/// The value of a hexadecimal digit, by character; kNoDigit for all others.
inline constexpr uint8_t kNoDigit = 0xff;
constexpr std::array<uint8_t, 256> hex_values() {
  std::array<uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (unsigned i = 0; i < 10; ++i) values['0' + i] = static_cast<uint8_t>(i);
  for (unsigned i = 0; i < 6; ++i) {
    values['a' + i] = values['A' + i] = static_cast<uint8_t>(10 + i);
  }
  return values;
}
inline constexpr std::array<uint8_t, 256> kHex = hex_values();

/// Text formats, a record a line. Whole lines lie from next_ to complete_, each with its newline;
/// the front of a line still to come from there to filled_.
class LineReader : public ReaderBase {
 protected:
  LineReader(std::unique_ptr<ByteSource> source, ReadMode mode, absl::string_view format,
             size_t buffer_bytes)
      : ReaderBase(std::move(source), mode, format, buffer_bytes), complete_(next_) {}

  /// Makes at least one whole line available; false at the end and after an error. The last line
  /// gets a newline if it lacks one (last_line_cut()). Lines that do not fit the buffer are faults.
  bool have_line() { return !stopped() && (next_ != complete_ || refill()); }
  /// Takes the line at next_, without its newline and a carriage return before it.
  absl::string_view take_line();
  absl::string_view take_raw_line();  ///< the same with the carriage return
  /// The line that was taken last is the last one and has no newline of its own.
  bool last_line_cut() const { return last_line_cut_ && next_ == complete_; }

  /// `line` is the one that was taken last: reports it, quoted.
  void line_fault(absl::string_view what, absl::string_view line);
  /// "line 12 (byte 345)".
  std::string place_of(const char* line) const;

  /// The record at `index` of the batch is from line `line`, and those after it from one line each,
  /// until said otherwise. Index 0 begins a batch. What was said of an index before is forgotten,
  /// so that lines without records take no memory.
  void from_line(size_t index, uint64_t line) {
    if (index == 0) {
      lines_of_.clear();
    } else if (SourceLine& last = lines_of_.back(); last.index == index) {
      last.line = line;
      return;
    } else if (line - index == last.line - last.index) {
      return;
    }
    lines_of_.push_back({index, line});
  }

  char* complete_;
  uint64_t lines_ = 0;  // taken so far

 public:
  absl::Span<const SourceLine> lines() const final {
    if (long_line_) return {};
    return lines_of_;
  }

 private:
  bool refill();
  void skip_long_line();

  bool last_line_cut_ = false;
  bool long_line_ = false;  // was dropped: lines are not told any more
  std::vector<SourceLine> lines_of_;  // see from_line
};

/// The front of `text` as "\"text\"", cut after 40 characters, with odd ones escaped.
std::string quoted(absl::string_view text);

}  // namespace gnomon

#endif  // TRACES_FORMATS_LINE_READER_H_

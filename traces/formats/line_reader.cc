// SPDX-License-Identifier: Apache-2.0
#include "traces/formats/line_reader.h"

#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon {

std::string quoted(absl::string_view text) {
  constexpr size_t kShown = 40;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kShown)), "\"",
                      text.size() > kShown ? "..." : "");
}

absl::string_view LineReader::take_line() {
  const absl::string_view text = take_raw_line();
  return !text.empty() && text.back() == '\r' ? text.substr(0, text.size() - 1) : text;
}

absl::string_view LineReader::take_raw_line() {
  const char* const line = next_;
  char* const newline =
      static_cast<char*>(memchr(next_, '\n', static_cast<size_t>(complete_ - next_)));
  next_ = newline + 1;
  ++lines_;
  return absl::string_view(line, static_cast<size_t>(newline - line));
}

bool LineReader::refill() {
  move_down(complete_);
  complete_ = next_;
  while (true) {
    if (room() == 0) {
      skip_long_line();
      if (stopped()) return false;
      if (complete_ != next_) return true;
      continue;
    }
    char* const fresh = filled_;
    if (!take_more()) break;
    if (auto* newline =
            static_cast<char*>(memrchr(fresh, '\n', static_cast<size_t>(filled_ - fresh)));
        newline != nullptr) {
      complete_ = newline + 1;
      return true;
    }
  }
  // Half a line before damaged compression may look like a whole one.
  if (stopped() || filled_ == next_ || source_damaged_) return false;
  *filled_++ = '\n';
  ++bytes_taken_;  // so that offsets stay right; stats_ has its own count
  complete_ = filled_;
  last_line_cut_ = true;
  return true;
}

/// The buffer is full and holds no newline: drops the line, up to its end.
void LineReader::skip_long_line() {
  ++lines_;
  long_line_ = true;
  fault(place_of(next_),
        absl::StrCat("line too long: ",
                     quoted(absl::string_view(next_, static_cast<size_t>(filled_ - next_)))));
  while (!stopped()) {
    filled_ = complete_ = next_ = buffer_.get();
    if (!take_more()) return;
    const auto got = static_cast<size_t>(filled_ - next_);
    if (auto* newline = static_cast<char*>(memchr(next_, '\n', got)); newline != nullptr) {
      move_down(newline + 1);
      const auto rest = static_cast<size_t>(filled_ - next_);
      auto* const last = static_cast<char*>(memrchr(next_, '\n', rest));
      complete_ = last != nullptr ? last + 1 : next_;
      return;
    }
  }
}

std::string LineReader::place_of(const char* line) const {
  return absl::StrFormat("line %d (byte %d)", lines_, offset_of(line));
}

std::string place_in(absl::Span<const SourceLine> lines, size_t index) {
  uint64_t line = 0;
  for (const SourceLine& from : lines) {
    if (from.index > index) break;
    line = from.line + (index - from.index);
  }
  return line == 0 ? "" : absl::StrCat("line ", line);
}

void LineReader::line_fault(absl::string_view what, absl::string_view line) {
  fault(place_of(line.data()), absl::StrCat(what, ": ", quoted(line)));
}

}  // namespace gnomon

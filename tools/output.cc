// SPDX-License-Identifier: Apache-2.0
#include "tools/output.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/options.h"
#include "tools/signals.h"

namespace gnomon::tools {

int write_result(absl::string_view text, int code) {
  errno = 0;
  const bool written = fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && fflush(stdout) == 0) return code;
  if (errno == EPIPE) note_reader_gone();
  if (reader_gone()) return kFailure;
  print_message(absl::StrCat("cannot write the result: ", strerror(errno)));
  return kFailure;
}

namespace {

/// Bytes of the character that `text` begins with if it is UTF-8 that a terminal only shows: no control
/// character, of the upper half (U+0080 to U+009F) neither. Otherwise 0.
size_t shown_character(absl::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (at(0) < 0x80) return absl::ascii_iscntrl(at(0)) ? 0 : 1;
  const size_t bytes = at(0) >= 0xf0 ? 4 : at(0) >= 0xe0 ? 3 : 2;
  if (at(0) < 0xc2 || at(0) > 0xf4 || text.size() < bytes) return 0;
  uint32_t code = at(0) & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (at(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0xa0, 0x800, 0x10000};  // shorter forms are not UTF-8
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < kLeast[bytes - 2] || surrogate || code > 0x10ffff ? 0 : bytes;
}

}  // namespace

std::string printable(absl::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const size_t bytes = shown_character(text);
    if (bytes == 0) {
      absl::StrAppendFormat(&shown, "\\x%02x", static_cast<unsigned char>(text[0]));
    } else {
      absl::StrAppend(&shown, text.substr(0, bytes));
    }
    text.remove_prefix(std::max<size_t>(bytes, 1));
  }
  return shown;
}

void print_message(absl::string_view text) {
  const std::string line = absl::StrCat("gnomon: ", printable(text), "\n");
  fwrite(line.data(), 1, line.size(), stderr);
}

void print_warning(absl::string_view text) { print_message(absl::StrCat("warning: ", text)); }

int report_failure(const absl::Status& status) {
  if (absl::IsAborted(status)) note_reader_gone();
  if (!reader_gone()) print_message(status.message());
  return kFailure;
}

}  // namespace gnomon::tools

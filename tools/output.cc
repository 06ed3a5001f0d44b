// SPDX-License-Identifier: Apache-2.0
#include "tools/output.h"

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

std::string printable(absl::string_view text) {
  std::string shown;
  for (const char c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppendFormat(&shown, "\\x%02x", static_cast<unsigned char>(c));
    } else {
      shown += c;
    }
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

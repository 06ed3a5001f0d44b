// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_OUTPUT_H_
#define TOOLS_OUTPUT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace gnomon::tools {

/// Writes a result to standard output, all of it, and returns `code`; kFailure with a message if it
/// cannot be written (full disk), and without one if its reader has gone (signals.h).
int write_result(absl::string_view text, int code);

/// `text` on one line, as UTF-8 and without control characters; what is neither is shown as \xNN: names and notes in
/// traces come from strangers, and a terminal obeys what it is sent.
std::string printable(absl::string_view text);

/// "gnomon: ..." on standard error: one line.
void print_message(absl::string_view text);
void print_warning(absl::string_view text);
/// The same for an error, but not for a reader that has gone; returns kFailure.
int report_failure(const absl::Status& status);

}  // namespace gnomon::tools

#endif  // TOOLS_OUTPUT_H_

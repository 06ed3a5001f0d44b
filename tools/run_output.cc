// SPDX-License-Identifier: Apache-2.0
#include "tools/run_output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon::tools {
namespace {

/// What is kept of the console for --json.
constexpr size_t kMostConsole = 4u << 20;
/// Lines of events are written together, so many bytes of them.
constexpr size_t kEventBytes = 64u << 10;

}  // namespace

void ConsoleOutput::take(absl::string_view bytes) {
  if (keep_) {
    kept_.append(bytes.data(), std::min(bytes.size(), kMostConsole - kept_.size()));
    return;
  }
  while (!bytes.empty() && status_.ok()) {
    const ssize_t n = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const std::string why = absl::StrCat("cannot write the console: ", strerror(errno));
      status_ =
          n < 0 && errno == EPIPE ? absl::AbortedError(why) : absl::ResourceExhaustedError(why);
      return;
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void EventLog::on_exit(const vmm::ExitEvent& e) {
  absl::StrAppendFormat(&lines_, "%d cpu%d %#x %s\n", e.instructions, e.cpu, e.rip, e.what);
  if (lines_.size() >= kEventBytes) write_out();
}

absl::Status EventLog::finish() {
  write_out();
  return status_.ok() ? file_->finish() : status_;
}

void EventLog::write_out() {
  if (status_.ok()) status_ = file_->write(lines_);
  lines_.clear();
}

}  // namespace gnomon::tools

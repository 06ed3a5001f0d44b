// SPDX-License-Identifier: Apache-2.0
#include "tools/progress.h"

#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon::tools {

Progress::Progress(bool wanted) : on_(wanted && isatty(STDERR_FILENO) == 1) {}
Progress::~Progress() { erase(); }

void Progress::update(uint64_t references, std::optional<double> done, absl::string_view more) {
  if (!on_) return;
  constexpr auto kInterval = std::chrono::milliseconds(200);
  const Clock::time_point now = Clock::now();
  if (now - last_ < kInterval) return;
  last_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::string line =
      absl::StrFormat("%.1f M references, %.1f M/s", 1e-6 * static_cast<double>(references),
                      1e-6 * static_cast<double>(references) / seconds);
  if (done && *done > 0 && *done <= 1) {
    absl::StrAppendFormat(&line, ", %.0f %%, %.0f s left", 100 * *done, seconds / *done - seconds);
  }
  absl::FPrintF(stderr, "\r%s%s\x1b[K", line, more);
  fflush(stderr);
  shown_ = true;
}

void Progress::erase() {
  if (shown_) fputs("\r\x1b[K", stderr);
  shown_ = false;
}

}  // namespace gnomon::tools

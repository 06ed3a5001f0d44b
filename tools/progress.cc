// SPDX-License-Identifier: Apache-2.0
#include "tools/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gnomon::tools {
namespace {

// Whether a line is on the terminal: a signal handler wants to know, too.
std::atomic<bool> shown{false};

/// A line longer than the terminal is wide would wrap, and could not be written over.
std::string cut_to_width(std::string line) {
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && line.size() >= size.ws_col)
    line.resize(size.ws_col - 1);
  return line;
}

/// A time to wait in the unit that gives it two digits or three.
std::string rough(double seconds) {
  if (seconds < 100) return absl::StrFormat("%.0f s", seconds);
  if (seconds < 100 * 60) return absl::StrFormat("%.0f min", seconds / 60);
  return absl::StrFormat("%.0f h", seconds / 3600);
}

}  // namespace

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
    absl::StrAppendFormat(&line, ", %.0f %%, %s left", 100 * *done,
                          rough(seconds / *done - seconds));
  }
  shown.store(true);
  absl::FPrintF(stderr, "\r%s\x1b[K", cut_to_width(absl::StrCat(line, more)));
  fflush(stderr);
}

void Progress::erase() { erase_progress(); }

void erase_progress() {
  constexpr char kErase[] = "\r\x1b[K";
  if (shown.exchange(false) && write(STDERR_FILENO, kErase, sizeof kErase - 1) < 0) return;
}

}  // namespace gnomon::tools

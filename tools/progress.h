// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_PROGRESS_H_
#define TOOLS_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace gnomon::tools {

/// A line on standard error that is written over: references done, rate, time left where the end is
/// known. Only on a terminal, and one at a time.
class Progress {
 public:
  explicit Progress(bool wanted);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  bool on() const { return on_; }
  /// `done` is the part that is done, 0 to 1, where that is known. `more` is put at the end.
  void update(uint64_t references, std::optional<double> done, absl::string_view more = "");
  void erase();

 private:
  using Clock = std::chrono::steady_clock;

  bool on_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
};

/// Wipes the line, if there is one. Safe in a signal handler.
void erase_progress();

}  // namespace gnomon::tools

#endif  // TOOLS_PROGRESS_H_

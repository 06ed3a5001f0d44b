// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_PROGRESS_H_
#define TOOLS_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <optional>

namespace gnomon::tools {

/// A line on standard error that is written over: references done, rate, time left where the size
/// of the recording is known. Only on a terminal.
class Progress {
 public:
  explicit Progress(bool wanted);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(uint64_t references, uint64_t bytes, std::optional<uint64_t> total_bytes);
  void erase();

 private:
  using Clock = std::chrono::steady_clock;

  bool on_;
  bool shown_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
};

}  // namespace gnomon::tools

#endif  // TOOLS_PROGRESS_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_RECORD_INTERRUPTS_H_
#define GNOMON_TRACES_RECORD_INTERRUPTS_H_

#include <array>
#include <csignal>

namespace gnomon::recording {

/// While it lives, SIGINT, SIGTERM and SIGHUP are noted instead of ending this process; those that
/// were ignored stay so. One at a time.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  /// Whether one came since this object was made.
  bool came() const;

 private:
  static constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, 3> before_;
};

}  // namespace gnomon::recording

#endif  // GNOMON_TRACES_RECORD_INTERRUPTS_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_SIGNALS_H_
#define TOOLS_SIGNALS_H_

#include <array>
#include <csignal>

namespace gnomon::tools {

/// Where standard input, output or error is closed, something takes its number that fails as a closed file does: a file that is
/// opened later would get it, and the guest's console, say, would go there.
void keep_standard_files();

/// From here on SIGINT, SIGTERM and SIGHUP first remove unfinished files and the progress line, and
/// then end the program as they would have anyway; the recorder takes them over while it runs.
/// SIGPIPE makes the write fail, so that everything is put in order; where that was a write of the
/// output, it is made up for at the end.
/// So does SIGXFSZ (ulimit -f), which is an error like a full disk.
/// Signals that are ignored when the program starts stay so.
void handle_signals();

/// While it lives, SIGINT, SIGTERM and SIGHUP are noted and do nothing else; those that were
/// ignored stay so. One at a time.
class SignalsNoted {
 public:
  SignalsNoted();
  ~SignalsNoted();
  SignalsNoted(const SignalsNoted&) = delete;
  SignalsNoted& operator=(const SignalsNoted&) = delete;

  /// Raises the one that came last again, if any came, for whoever handles signals now.
  void hand_on();

 private:
  std::array<struct sigaction, 3> before_;
};

/// A write of the output failed because its reader has gone (EPIPE). Nothing where SIGPIPE is
/// ignored: there it is an error like any other.
void note_reader_gone();
/// Whether that was so: nobody wants to know about it.
bool reader_gone();

/// Ends the program by SIGPIPE, as those do that leave the signal alone.
[[noreturn]] void end_by_sigpipe();

}  // namespace gnomon::tools

#endif  // TOOLS_SIGNALS_H_

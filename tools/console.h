// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_CONSOLE_H_
#define TOOLS_CONSOLE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gnomon/vmm/board.h"

namespace gnomon::tools {

/// The user's side of a guest's serial port: standard input, byte by byte, and standard output. On
/// a terminal, keys go to the guest as they are typed, but for those after Ctrl-A: x ends the
/// machine, c asks for the monitor, h shows these, Ctrl-A itself is Ctrl-A.
class Console {
 public:
  enum class Command { kNone, kExit, kMonitor };

  /// Takes the terminal over, if standard input is one and `use_input`.
  explicit Console(bool use_input);
  /// A script in place of standard input: all of it is pending from the start, and typed byte by
  /// byte.
  explicit Console(std::string script);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  bool terminal() const { return raw_; }
  bool scripted() const { return scripted_; }
  /// May there be more input some time?
  bool open() const { return open_; }
  /// Is more input left alone until the guest has taken what is pending?
  bool full() const;
  /// Takes what was typed by now, waiting at most so long for it. What is for the guest goes to
  /// `pending`.
  Command read(int wait_milliseconds);
  /// Gives the guest what is pending, of a script the next byte. How many bytes it took.
  size_t type_into(vmm::Board& board);
  std::string pending;  ///< typed, and not yet taken by the guest

  /// The terminal as the user's shell wants it, for a while.
  void suspend();
  void resume();

 private:
  Command take(char c);
  void add(char c);

  bool open_;
  bool scripted_ = false;
  bool raw_ = false;
  bool escaped_ = false;
};

/// The terminal as it was before a Console took it over, if one has it. For a signal handler.
void restore_terminal();

/// What a user would type: the bytes of a file of at most 64 KiB.
absl::StatusOr<std::string> read_script(const std::string& file);

}  // namespace gnomon::tools

#endif  // TOOLS_CONSOLE_H_

// SPDX-License-Identifier: Apache-2.0
#include "tools/console.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "tools/output.h"

namespace gnomon::tools {
namespace {

constexpr char kEscape = 1;  // Ctrl-A
/// Input is not read ahead of the guest by more than this.
constexpr size_t kMostPending = 4096;

}  // namespace

Console::Console(bool use_input) : open_(use_input) {
  if (!use_input || isatty(STDIN_FILENO) == 0 || tcgetattr(STDIN_FILENO, &before_) != 0) return;
  raw_ = true;
  resume();
}

Console::~Console() { suspend(); }

void Console::suspend() {
  if (raw_) tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
}

void Console::resume() {
  if (!raw_) return;
  struct termios mode = before_;
  cfmakeraw(&mode);
  mode.c_oflag |= OPOST;  // the guest's line ends are lines here, too
  tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
}

Console::Command Console::take(char c) {
  if (!raw_) {
    pending += c;
    return Command::kNone;
  }
  if (!escaped_) {
    if (c == kEscape) {
      escaped_ = true;
    } else {
      pending += c;
    }
    return Command::kNone;
  }
  escaped_ = false;
  switch (c) {
    case 'x': return Command::kExit;
    case 'c': return Command::kMonitor;
    case kEscape: pending += c; break;
    default:
      print_message("Ctrl-A x: end the machine; Ctrl-A c: monitor; Ctrl-A Ctrl-A: send Ctrl-A");
      break;
  }
  return Command::kNone;
}

Console::Command Console::read(int wait_milliseconds) {
  if (!open_ || pending.size() >= kMostPending) return Command::kNone;
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  if (poll(&input, 1, wait_milliseconds) <= 0) return Command::kNone;
  std::array<char, 256> bytes;
  const ssize_t n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return Command::kNone;
  if (n <= 0) {
    open_ = false;
    return Command::kNone;
  }
  for (ssize_t i = 0; i < n; ++i) {
    const Command command = take(bytes[static_cast<size_t>(i)]);
    if (command != Command::kNone) return command;
  }
  return Command::kNone;
}

}  // namespace gnomon::tools

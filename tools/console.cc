// SPDX-License-Identifier: Apache-2.0
#include "tools/console.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tools/output.h"

namespace gnomon::tools {
namespace {

constexpr char kEscape = 1;  // Ctrl-A
/// Input is not read ahead of the guest by more than this.
constexpr size_t kMostPending = 4096;
constexpr size_t kMostScript = 64u << 10;

// For a signal handler: how the terminal was, and whether it is not so now.
struct termios shell_mode;
std::atomic<bool> changed{false};
static_assert(std::atomic<bool>::is_always_lock_free);

}  // namespace

void restore_terminal() {
  // Not TCSADRAIN: where nobody reads what was printed, it waits for ever.
  if (changed.exchange(false)) tcsetattr(STDIN_FILENO, TCSANOW, &shell_mode);
}

Console::Console(bool use_input) : open_(use_input) {
  if (!use_input || isatty(STDIN_FILENO) == 0 || tcgetattr(STDIN_FILENO, &shell_mode) != 0) return;
  raw_ = true;
  resume();
}

Console::Console(std::string script) : pending(std::move(script)), open_(false), scripted_(true) {}

Console::~Console() { suspend(); }

void Console::suspend() { restore_terminal(); }

void Console::resume() {
  if (!raw_) return;
  struct termios mode = shell_mode;
  cfmakeraw(&mode);
  mode.c_oflag |= OPOST;  // the guest's line ends are lines here, too
  changed = true;
  tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
}

bool Console::full() const { return !raw_ && pending.size() >= kMostPending; }

// What is typed has commands in it, so it is read even if the guest takes nothing.
void Console::add(char c) {
  if (!raw_ || pending.size() < kMostPending) pending += c;
}

Console::Command Console::take(char c) {
  if (!raw_) {
    add(c);
    return Command::kNone;
  }
  if (!escaped_) {
    if (c == kEscape) {
      escaped_ = true;
    } else {
      add(c);
    }
    return Command::kNone;
  }
  escaped_ = false;
  switch (c) {
    case 'x': return Command::kExit;
    case 'c': return Command::kMonitor;
    case kEscape: add(c); break;
    default:
      print_message("Ctrl-A x: end the machine; Ctrl-A c: monitor; Ctrl-A Ctrl-A: send Ctrl-A");
      break;
  }
  return Command::kNone;
}

Console::Command Console::read(int wait_milliseconds) {
  if (!open_ || full()) return Command::kNone;
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  std::array<char, 256> bytes;
  // Of a terminal byte by byte: what is typed after a command is for whom it calls up.
  const size_t most = raw_ ? 1 : bytes.size();
  for (int wait = wait_milliseconds; poll(&input, 1, wait) > 0; wait = 0) {
    const ssize_t n = ::read(STDIN_FILENO, bytes.data(), most);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return Command::kNone;
    if (n <= 0) {
      open_ = false;
      return Command::kNone;
    }
    for (ssize_t i = 0; i < n; ++i) {
      const Command command = take(bytes[static_cast<size_t>(i)]);
      if (command != Command::kNone) return command;
    }
    if (!raw_) break;
  }
  return Command::kNone;
}

size_t Console::type_into(vmm::Board& board) {
  const size_t taken =
      board.console_input(absl::string_view(pending).substr(0, scripted_ ? 1 : pending.size()));
  pending.erase(0, taken);
  return taken;
}

absl::StatusOr<std::string> read_script(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text(kMostScript + 1, '\0');
  if (!in || (!in.read(text.data(), static_cast<std::streamsize>(text.size())) && !in.eof())) {
    return absl::InvalidArgumentError(absl::StrCat("--input: cannot read ", file));
  }
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kMostScript) {
    return absl::InvalidArgumentError(
        absl::StrCat("--input: ", file, ": byte ", kMostScript, ": more than 64 KiB"));
  }
  return text;
}

}  // namespace gnomon::tools

// SPDX-License-Identifier: Apache-2.0
//
// `gnomon run` on a terminal: what is typed goes to the guest, but for Ctrl-A; and the terminal is
// afterwards as it was.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/cli/run_program.h"

namespace gnomon::cli_test {
namespace {

/// JMP to itself.
constexpr absl::string_view kDeaf = "\xeb\xfe";
/// Sends what it receives: MOV DX,3FDH; IN AL,DX; TEST AL,1; JZ; MOV DX,3F8H; IN AL,DX; OUT DX,AL;
/// JMP.
constexpr absl::string_view kEcho =
    "\x66\xba\xfd\x03\xec\xa8\x01\x74\xf7\x66\xba\xf8\x03\xec\xee\xeb\xef";

/// The program on a terminal of its own, with a guest of these bytes.
class OnTerminal {
 public:
  explicit OnTerminal(absl::string_view guest) {
    const std::string image = scratch_file("typed_at.bin", guest);
    struct termios cooked = {};
    cooked.c_iflag = ICRNL;
    cooked.c_oflag = OPOST | ONLCR;
    cooked.c_cflag = CS8 | CREAD;
    cooked.c_lflag = ICANON | ECHO | ISIG;
    cooked.c_cc[VINTR] = 3;
    child_ = forkpty(&terminal_, nullptr, &cooked, nullptr);
    if (child_ == 0) {
      execl(GNOMON_TEST_TOOL, "gnomon", "run", "--format", "raw", image.c_str(), nullptr);
      _exit(127);
    }
    EXPECT_TRUE(shows(" bytes at 0x")) << shown;
    for (int i = 0; i < 600 && cooked_now(); ++i) usleep(50'000);
    EXPECT_FALSE(cooked_now());
  }
  ~OnTerminal() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(terminal_);
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  void type(absl::string_view keys) {
    while (!keys.empty()) {
      struct pollfd p = {terminal_, POLLIN | POLLOUT, 0};
      if (poll(&p, 1, 30'000) <= 0) return;
      if ((p.revents & POLLIN) != 0) take();
      if ((p.revents & POLLOUT) == 0) continue;
      const ssize_t n = write(terminal_, keys.data(), std::min<size_t>(keys.size(), 256));
      if (n <= 0) return;
      keys.remove_prefix(static_cast<size_t>(n));
    }
  }
  /// Is the text there, in the end?
  bool shows(absl::string_view text) {
    while (shown.find(std::string(text)) == std::string::npos) {
      struct pollfd p = {terminal_, POLLIN, 0};
      if (poll(&p, 1, 30'000) <= 0 || !take()) return false;
    }
    return true;
  }
  void send_signal(int number) { kill(child_, number); }
  /// What waitpid says of the program's end; -1: it goes on for half a minute.
  int end() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < until) {
      struct pollfd p = {terminal_, POLLIN, 0};
      if (poll(&p, 1, 20) > 0) take();
      int status = 0;
      if (waitpid(child_, &status, WNOHANG) != child_) continue;
      child_ = 0;
      return status;
    }
    return -1;
  }
  /// Does the terminal give whole lines, and show what is typed?
  bool cooked_now() const {
    struct termios now = {};
    return tcgetattr(terminal_, &now) == 0 && (now.c_lflag & (ICANON | ECHO)) == (ICANON | ECHO);
  }

  std::string shown;

 private:
  bool take() {
    char bytes[4096];
    const ssize_t n = read(terminal_, bytes, sizeof bytes);
    if (n > 0) shown.append(bytes, static_cast<size_t>(n));
    return n > 0;
  }

  int terminal_ = -1;
  pid_t child_ = -1;
};

TEST(Console, KeysGoToTheGuest) {
  OnTerminal t(kEcho);
  t.type("<abc>");
  EXPECT_TRUE(t.shows("<abc>")) << t.shown;
  t.type("<\x03\x04\x1a\x01\x01>");  // what a shell's terminal would act upon, and Ctrl-A itself
  EXPECT_TRUE(t.shows("<\x03\x04\x1a\x01>")) << t.shown;
  t.type("\x01h");
  EXPECT_TRUE(t.shows("Ctrl-A x: end the machine")) << t.shown;
  t.type("\x01x");
  EXPECT_EQ(t.end(), 0);
  EXPECT_TRUE(t.cooked_now());
}

TEST(Console, TheMachineCanBeEndedHoweverMuchWasTyped) {
  OnTerminal t(kDeaf);
  t.type(std::string(9000, 'a'));
  t.type("\x01x");
  EXPECT_EQ(t.end(), 0);
  EXPECT_TRUE(t.cooked_now());
}

TEST(Console, ASignalLeavesTheTerminalAsItWas) {
  for (const int number : {SIGTERM, SIGHUP, SIGINT}) {
    OnTerminal t(kDeaf);
    t.send_signal(number);
    const int status = t.end();
    EXPECT_TRUE(WIFSIGNALED(status)) << status;
    EXPECT_EQ(WTERMSIG(status), number);
    EXPECT_TRUE(t.cooked_now());
  }
}

TEST(Console, WhatIsTypedBehindTheCommandIsForTheMonitor) {
  OnTerminal t(kDeaf);
  t.type(
      "\x01"
      "cinfo registers\rquit\r");
  EXPECT_TRUE(t.shows("EFER=0000000000000000")) << t.shown;
  EXPECT_EQ(t.end(), 0);
  EXPECT_TRUE(t.cooked_now());
}

TEST(Console, TheGuestGoesOnAfterTheMonitor) {
  OnTerminal t(kEcho);
  t.type(
      "\x01"
      "c");
  EXPECT_TRUE(t.shows("(gnomon)")) << t.shown;
  EXPECT_TRUE(t.cooked_now());
  t.type("cont\r");
  for (int i = 0; i < 600 && t.cooked_now(); ++i) usleep(50'000);
  t.type("<again>");
  EXPECT_TRUE(t.shows("<again>")) << t.shown;
  t.type("\x01x");
  EXPECT_EQ(t.end(), 0);
  EXPECT_TRUE(t.cooked_now());
}

}  // namespace
}  // namespace gnomon::cli_test

// SPDX-License-Identifier: Apache-2.0
#include "tools/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "gnomon/traces/trace_writer.h"
#include "tools/console.h"
#include "tools/progress.h"

namespace gnomon::tools {
namespace {

constexpr std::array<int, 3> kEnding = {SIGINT, SIGTERM, SIGHUP};

bool sigpipe_ends = false;  // it was not ignored at the start
bool output_closed = false;
pid_t owner = 0;

std::atomic<int> noted{0};                             // the last signal; 0: none
static_assert(std::atomic<int>::is_always_lock_free);  // for a signal handler

/// Puts back what the signal does by itself, and lets it. It is blocked while its handler runs.
void end_by(int signal) {
  std::signal(signal, SIG_DFL);
  raise(signal);
}

void clean_up_and_end(int signal) {
  // A child between fork and exec has our handlers, but not our files.
  if (getpid() == owner) {
    remove_unfinished_files();
    erase_progress();
    restore_terminal();
  }
  end_by(signal);
}

void note(int signal) { noted.store(signal); }

/// The write that it is about fails. Unlike SIG_IGN it is not handed down to the programs we start.
void nothing(int /*signal*/) {}

/// False if the signal is ignored, and stays so. `before`: what was there.
bool handle(int signal, void (*handler)(int), struct sigaction& before) {
  if (sigaction(signal, nullptr, &before) != 0 || before.sa_handler == SIG_IGN) return false;
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  return sigaction(signal, &action, nullptr) == 0;
}

}  // namespace

void keep_standard_files() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // The wrong way round: it can neither be read as standard input nor written as the others. It gets the lowest number.
    if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) return;
  }
}

void handle_signals() {
  owner = getpid();
  struct sigaction before = {};
  for (const int signal : kEnding) handle(signal, clean_up_and_end, before);
  sigpipe_ends = handle(SIGPIPE, nothing, before);
  handle(SIGXFSZ, nothing, before);
}

SignalsNoted::SignalsNoted() {
  noted.store(0);
  for (size_t i = 0; i < kEnding.size(); ++i) handle(kEnding[i], note, before_[i]);
}

SignalsNoted::~SignalsNoted() {
  for (size_t i = 0; i < kEnding.size(); ++i) sigaction(kEnding[i], &before_[i], nullptr);
}

void SignalsNoted::hand_on() {
  if (const int signal = noted.exchange(0); signal != 0) raise(signal);
}

void note_reader_gone() { output_closed = sigpipe_ends; }
bool reader_gone() { return output_closed; }

void end_by_sigpipe() {
  end_by(SIGPIPE);
  _exit(128 + SIGPIPE);  // it is blocked
}

}  // namespace gnomon::tools

// SPDX-License-Identifier: Apache-2.0
#include "traces/record/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

// Between fork and execve only what is safe in a signal handler may be called: our process can have
// threads, whose locks the copy inherits.

namespace gnomon::recording {
namespace {

constexpr int kGentle = SIGTERM;
constexpr int kAtOnce = SIGUSR1;
constexpr int kRoundMilliseconds = 100;
constexpr int kRoundsBeforeTerm = 5;
constexpr int kRoundsBeforeKill = 15;

void close_quietly(int descriptor) {
  if (descriptor >= 0) close(descriptor);
}

// Those of this process, which has one thread. Reading the list again shows the children of those
// that have died meanwhile.
void signal_children(const char* list, int signal) {
  const int file = open(list, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  char text[4096];
  ssize_t length;
  pid_t pid = 0;
  while ((length = read(file, text, sizeof text)) > 0) {
    for (ssize_t i = 0; i < length; ++i) {
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');
      } else if (pid > 0) {
        kill(pid, signal);
        pid = 0;
      }
    }
  }
  close(file);
}

struct Job {
  const char* const* arguments;
  const char* const* environment;
  const char* const* removal;  // command that removes the scratch directory
  sigset_t original_mask;
  pid_t recorder;
  int reports;
  bool output_to_error;
};

void report(const Job& job, const Keeper::Outcome& outcome) {
  // Fits into the pipe whole, so it cannot fail but for a reader that is gone.
  if (write(job.reports, &outcome, sizeof outcome) < 0) return;
}

pid_t start_program(const Job& job) {
  int failure[2];
  if (pipe2(failure, O_CLOEXEC) != 0) return -1;
  const pid_t program = fork();
  if (program == 0) {
    sigprocmask(SIG_SETMASK, &job.original_mask, nullptr);
    // Without a standard error there is nowhere to write to, but still not into the trace.
    if (job.output_to_error && dup2(STDERR_FILENO, STDOUT_FILENO) < 0) close(STDOUT_FILENO);
    execve(job.arguments[0], const_cast<char* const*>(job.arguments),
           const_cast<char* const*>(job.environment));
    const int error = errno;
    if (write(failure[1], &error, sizeof error) < 0) _exit(126);
    _exit(127);
  }
  close(failure[1]);
  int error = 0;
  if (program > 0 && read(failure[0], &error, sizeof error) == sizeof error) {
    report(job, {.error = error});
  }
  close(failure[0]);
  return program;
}

[[noreturn]] void keep(const Job& job) {
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  prctl(PR_SET_PDEATHSIG, kAtOnce, 0, 0, 0);
  if (getppid() != job.recorder) raise(kAtOnce);  // blocked: seen below
  char list[64];
  snprintf(list, sizeof list, "/proc/self/task/%d/children", static_cast<int>(getpid()));

  const pid_t program = start_program(job);
  if (program < 0) {
    report(job, {.error = errno});
    _exit(1);
  }
  sigset_t awaited;
  sigemptyset(&awaited);
  for (const int signal : {SIGCHLD, kGentle, kAtOnce}) sigaddset(&awaited, signal);

  int rounds = -1;  // since we were told to stop
  while (true) {
    int status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
      if (ended == program) report(job, {.wait_status = status});
    }
    if (ended < 0 && errno == ECHILD) break;
    if (rounds > kRoundsBeforeKill) {
      signal_children(list, SIGKILL);
      kill(program,
           SIGKILL);  // should the list not be there: our child until we have waited for it
    } else if (rounds > kRoundsBeforeTerm) {
      signal_children(list, SIGTERM);
    }
    const timespec round = {.tv_sec = rounds < 0 ? 3600 : 0,
                            .tv_nsec = rounds < 0 ? 0 : kRoundMilliseconds * 1000000L};
    const int signal = sigtimedwait(&awaited, nullptr, &round);
    if (signal == kAtOnce) rounds = kRoundsBeforeKill + 1;
    if (signal == kGentle && rounds < 0) rounds = 0;
    if (signal < 0 && rounds >= 0) ++rounds;
  }
  if (getppid() != job.recorder) {
    execve(job.removal[0], const_cast<char* const*>(job.removal),
           const_cast<char* const*>(job.environment));
  }
  _exit(0);
}

std::vector<const char*> pointers(const std::vector<std::string>& strings) {
  std::vector<const char*> out;
  for (const std::string& string : strings) out.push_back(string.c_str());
  out.push_back(nullptr);
  return out;
}

}  // namespace

absl::StatusOr<Keeper> Keeper::start(const std::vector<std::string>& command,
                                     const std::vector<std::string>& environment,
                                     const std::string& scratch, bool output_to_error) {
  int reports[2];
  if (pipe2(reports, O_CLOEXEC | O_NONBLOCK) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a pipe");
  }
  const std::vector<const char*> arguments = pointers(command);
  const std::vector<const char*> variables = pointers(environment);
  const char* const removal[] = {"/bin/rm", "-rf", "--", scratch.c_str(), nullptr};
  Job job = {.arguments = arguments.data(),
             .environment = variables.data(),
             .removal = removal,
             .original_mask = {},
             .recorder = getpid(),
             .reports = reports[1],
             .output_to_error = output_to_error};
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &job.original_mask);
  const pid_t pid = fork();
  if (pid == 0) keep(job);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &job.original_mask, nullptr);
  close(reports[1]);
  if (pid < 0) {
    close(reports[0]);
    return absl::ErrnoToStatus(error, "cannot start a process");
  }
  return Keeper(pid, reports[0]);
}

Keeper::Keeper(Keeper&& other) noexcept
    : pid_(other.pid_), reports_(other.reports_), outcome_(other.outcome_), gone_(other.gone_) {
  other.pid_ = -1;
  other.reports_ = -1;
}

Keeper::~Keeper() {
  if (pid_ > 0 && !gone_) {
    stop(false);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
  }
  close_quietly(reports_);
}

bool Keeper::all_gone() {
  Outcome outcome;
  while (read(reports_, &outcome, sizeof outcome) == sizeof outcome) {
    if (!outcome_) outcome_ = outcome;
  }
  if (!gone_ && waitpid(pid_, nullptr, WNOHANG) == pid_) {
    gone_ = true;
    while (read(reports_, &outcome, sizeof outcome) == sizeof outcome) {
      if (!outcome_) outcome_ = outcome;
    }
  }
  return gone_;
}

void Keeper::stop(bool gently) {
  // Not waited for yet, so the number is still its own.
  if (pid_ > 0 && !gone_) kill(pid_, gently ? kGentle : kAtOnce);
}

}  // namespace gnomon::recording

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/recorder.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "traces/record/decoder.h"
#include "traces/record/interrupts.h"
#include "traces/record/keeper.h"
#include "traces/record/locate.h"
#include "traces/record/workspace.h"

namespace gnomon {
namespace {

using recording::Decoder;
using recording::Interrupts;
using recording::Keeper;
using recording::Workspace;
using Clock = std::chrono::steady_clock;

constexpr size_t kReadBytes = size_t{256} << 10;
constexpr size_t kMessageBytes = size_t{16} << 10;
constexpr int kPollMilliseconds = 100;
constexpr std::chrono::milliseconds kProgressInterval(100);

std::vector<std::string> valgrind_command(const RecordOptions& options, const std::string& valgrind,
                                          const Workspace& workspace) {
  std::vector<std::string> command = {
      valgrind,
      "--command-line-only=yes",  // nothing from ~/.valgrindrc and VALGRIND_OPTS
      "--tool=gnomon",
      "-q",
      "--vgdb=no",
      // Following jumps at translation time makes instructions appear that were not executed.
      "--vex-guest-chase=no",
      absl::StrCat("--log-file=", workspace.log_pattern()),
      absl::StrCat("--trace-children=", options.follow_children ? "yes" : "no"),
      absl::StrCat("--gnomon-follow=", options.follow_children ? "yes" : "no"),
      absl::StrCat("--gnomon-fifo=", workspace.fifo_path()),
      absl::StrCat("--gnomon-process=", absl::Hex(recording::kFirstProcess)),
      "--",
  };
  command.insert(command.end(), options.command.begin(), options.command.end());
  return command;
}

std::vector<std::string> valgrind_environment(const std::string& tool_directory) {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!absl::StartsWith(*variable, "VALGRIND_LIB=")) environment.emplace_back(*variable);
  }
  environment.push_back(absl::StrCat("VALGRIND_LIB=", tool_directory));
  return environment;
}

// The dynamic linker takes LD_PRELOAD, in which valgrind puts a file of this directory, for a list
// that blanks and colons separate, and complains to the program's standard error.
absl::StatusOr<std::string> without_separators(const std::string& tool_directory,
                                               const Workspace& workspace) {
  if (tool_directory.find_first_of(" :") == std::string::npos) return tool_directory;
  const std::string link = absl::StrCat(workspace.directory(), "/lib");
  const std::string target = std::filesystem::absolute(tool_directory).string();
  if (symlink(target.c_str(), link.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", link));
  }
  return link;
}

// One recording under way.
class Recording {
 public:
  Recording(const RecordOptions& options, TraceWriter& writer, Workspace& workspace, Keeper& keeper,
            const Interrupts& interrupts)
      : options_(options),
        writer_(writer),
        workspace_(workspace),
        keeper_(keeper),
        interrupts_(interrupts),
        decoder_(options.limit),
        buffer_(kReadBytes + GNOMON_PACKET_MOST) {}

  // Until all processes are gone. The status is that of stream and writer.
  absl::Status run() {
    while (true) {
      const bool gone = keeper_.all_gone();  // before reading: then all there will ever be is there
      drain();
      show_progress();
      if (gone) break;
      if (interrupts_.came() && !interrupted_) {
        interrupted_ = true;
        keeper_.stop(true);
      }
      pollfd sources[] = {{.fd = workspace_.fifo(), .events = POLLIN, .revents = 0},
                          {.fd = keeper_.descriptor(), .events = POLLIN, .revents = 0}};
      poll(sources, 2, kPollMilliseconds);  // what a signal or a report means is looked at above
    }
    // What was killed could not say goodbye; what we ended has no end in the trace.
    if (status_.ok() && !interrupted_ && !decoder_.limit_reached()) {
      decoder_.finish();
      write_batch();
    }
    return status_;
  }

  RecordResult result() const {
    RecordResult result = {.references = decoder_.references(),
                           .events = decoder_.events(),
                           .processes = decoder_.processes(),
                           .threads = decoder_.threads(),
                           .interrupted = interrupted_,
                           .limit_reached = decoder_.limit_reached(),
                           .messages = workspace_.messages(kMessageBytes)};
    const int status = keeper_.outcome() ? keeper_.outcome()->wait_status : 0;
    if (WIFSIGNALED(status)) {
      result.program_signal = WTERMSIG(status);
      result.program_status = 128 + WTERMSIG(status);
    } else {
      result.program_status = WEXITSTATUS(status);
    }
    return result;
  }

 private:
  void fail(absl::Status status) {
    if (!status_.ok()) return;
    status_ = std::move(status);
    keeper_.stop(false);
  }

  void write_batch() {
    TraceBatch& batch = decoder_.batch();
    if (batch.records.empty()) return;
    const absl::Status status = writer_.write(batch.records, batch.events);
    decoder_.clear_batch();
    if (!status.ok()) fail(status);
  }

  // Reads what is in the FIFO. After a failure, too: whoever waits for room there could not be
  // ended gently.
  void drain() {
    while (true) {
      const ssize_t got = read(workspace_.fifo(), buffer_.data() + held_, buffer_.size() - held_);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        if (got < 0 && errno != EAGAIN) fail(absl::ErrnoToStatus(errno, "cannot read the FIFO"));
        return;
      }
      held_ += static_cast<size_t>(got);
      decode();
      show_progress();
      if (interrupts_.came() && !interrupted_) return;
    }
  }

  void decode() {
    if (!status_.ok()) {
      held_ = 0;
      return;
    }
    const absl::StatusOr<size_t> taken = decoder_.take(absl::MakeSpan(buffer_.data(), held_));
    write_batch();
    if (!taken.ok()) {
      fail(taken.status());
      held_ = 0;
      return;
    }
    held_ -= *taken;
    std::memmove(buffer_.data(), buffer_.data() + *taken, held_);
    if (decoder_.limit_reached()) keeper_.stop(false);
  }

  void show_progress() {
    const Clock::time_point now = Clock::now();
    if (!options_.progress || now < next_progress_) return;
    next_progress_ = now + kProgressInterval;
    options_.progress({.references = decoder_.references(),
                       .events = decoder_.events(),
                       .bytes_written = writer_.bytes_written(),
                       .processes_alive = decoder_.alive(),
                       .seconds = std::chrono::duration<double>(now - start_).count()});
  }

  const RecordOptions& options_;
  TraceWriter& writer_;
  Workspace& workspace_;
  Keeper& keeper_;
  const Interrupts& interrupts_;
  Decoder decoder_;
  std::vector<char> buffer_;
  size_t held_ = 0;  // bytes at its front: the packet that has not arrived whole
  absl::Status status_;
  bool interrupted_ = false;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_progress_ = start_ + kProgressInterval;
};

}  // namespace

absl::StatusOr<RecordResult> record_program(const RecordOptions& options, TraceWriter& writer) {
  if (options.command.empty()) return absl::InvalidArgumentError("no program to record");
  // Before all that has to be put away again, and until after it.
  const Interrupts interrupts;
  const absl::StatusOr<std::string> program = recording::find_program(options.command[0]);
  if (!program.ok()) return program.status();
  const absl::StatusOr<std::string> valgrind = recording::find_valgrind();
  if (!valgrind.ok()) return valgrind.status();
  const absl::StatusOr<std::string> tool = recording::find_tool(options.tool_directory);
  if (!tool.ok()) return tool.status();

  absl::StatusOr<Workspace> workspace = Workspace::create();
  if (!workspace.ok()) return workspace.status();
  const absl::StatusOr<std::string> library = without_separators(*tool, *workspace);
  if (!library.ok()) return library.status();
  absl::StatusOr<Keeper> keeper = Keeper::start(valgrind_command(options, *valgrind, *workspace),
                                                valgrind_environment(*library),
                                                workspace->directory(), options.output_to_error);
  if (!keeper.ok()) return keeper.status();

  Recording recording(options, writer, *workspace, *keeper, interrupts);
  const absl::Status status = recording.run();
  if (!status.ok()) return status;
  if (keeper->outcome() && keeper->outcome()->error != 0) {
    return absl::ErrnoToStatus(keeper->outcome()->error, absl::StrCat("cannot start ", *valgrind));
  }
  RecordResult result = recording.result();
  if (result.processes == 0 && !result.interrupted) {
    return absl::FailedPreconditionError(absl::StrCat("valgrind did not start ", *program,
                                                      result.messages.empty() ? "" : ": ",
                                                      absl::StripAsciiWhitespace(result.messages)));
  }
  return result;
}

}  // namespace gnomon

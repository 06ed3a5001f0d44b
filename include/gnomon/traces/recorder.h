// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_RECORDER_H_
#define GNOMON_TRACES_RECORDER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gnomon/traces/trace_reader.h"
#include "gnomon/traces/trace_writer.h"

// Records what a real program does to its memory, by running it under valgrind with a tool of ours:
// docs/recording.md.

namespace gnomon {

struct RecordProgress {
  uint64_t references = 0;
  uint64_t events = 0;
  uint64_t bytes_written = 0;  ///< as the writer says
  uint32_t processes_alive = 0;
  double seconds = 0;  ///< since the start
};

struct RecordOptions {
  std::vector<std::string> command;  ///< the program, searched in PATH, and its arguments
  /// Where the tool lies. Empty: $GNOMON_VALGRIND_LIB; then ../libexec/gnomon/valgrind, seen from
  /// the running program; then the build tree.
  std::string tool_directory;
  /// Record what the program forks and executes, too. Otherwise only what the first process does
  /// until it executes another program.
  bool follow_children = true;
  /// Most references (a modify is two); 0: no limit. When they are there, the program is killed.
  uint64_t limit = 0;
  /// The program's standard output is the caller's standard error: for a writer that has standard
  /// output for itself.
  bool output_to_error = false;
  std::function<void(const RecordProgress&)> progress;  ///< called some ten times a second, if set
};

struct RecordResult {
  uint64_t references = 0;
  uint64_t events = 0;
  uint32_t processes = 0;  ///< ever
  uint32_t threads = 0;    ///< ever, of all processes; each process has at least one
  /// How the first process ended: its exit status, or 128 + the number of the signal that killed
  /// it.
  int program_status = 0;
  int program_signal = 0;      ///< that signal; 0: it exited
  bool interrupted = false;    ///< SIGINT, SIGTERM or SIGHUP came, and the program was ended
  bool limit_reached = false;  ///< the program was ended because of RecordOptions::limit
  std::string messages;        ///< what valgrind had to say, cut to 16 KiB; normally nothing
};

/// Runs the program with the caller's standard input, output (but see above) and error, and writes
/// what it does. Ends when all its processes have ended. The caller makes the writer and finishes
/// it, also after an error: what was written until then is a valid trace. No process and no
/// temporary file is left.
///
/// While it runs, it handles SIGINT, SIGTERM and SIGHUP (unless they are ignored) and must not run
/// twice at a time in a process. Errors: InvalidArgument (no command), NotFound (program or
/// valgrind missing), FailedPrecondition (the tool is missing, valgrind does not start the
/// program), DataLoss (what the tool sent makes no sense), and what the system or the writer
/// reports.
absl::StatusOr<RecordResult> record_program(const RecordOptions& options, TraceWriter& writer);

/// What a writer for this recording puts into its header: the command line, valgrind's version, the
/// processor and the system.
TraceInfo describe_recording(const RecordOptions& options);

}  // namespace gnomon

#endif  // GNOMON_TRACES_RECORDER_H_

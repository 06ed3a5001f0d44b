// SPDX-License-Identifier: Apache-2.0
//
// The verb `record`: a real program under valgrind, into a trace.
#include "gnomon/traces/recorder.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "tools/commands.h"
#include "tools/copy_trace.h"
#include "tools/json_text.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/signals.h"
#include "tools/units.h"
#include "tools/words.h"

namespace gnomon::tools {
namespace {

std::string default_output(const std::string& program) {
  return absl::StrCat(program.substr(program.rfind('/') + 1), ".gtrace");
}

void print_summary(const RecordResult& r, const TraceWriter& writer, const std::string& path) {
  const double per = r.references == 0 ? 0
                                       : static_cast<double>(writer.bytes_written()) /
                                             static_cast<double>(r.references);
  print_message(absl::StrFormat("%s: %s and %s of %s, %s (%.2f a reference)", path,
                                count_of(r.references, "reference", "references"),
                                count_of(r.events, "event", "events"),
                                count_of(r.processes, "process", "processes"),
                                count_of(writer.bytes_written(), "byte", "bytes"), per));
  if (r.interrupted) print_warning("interrupted: the trace ends there");
  if (r.limit_reached) print_warning("ended at --limit: the program did not run to its end");
}

/// The errors of record_program that come before the program's first record.
bool never_ran(const absl::Status& s) {
  return absl::IsNotFound(s) || absl::IsInvalidArgument(s) || absl::IsPermissionDenied(s) ||
         absl::IsFailedPrecondition(s);
}

/// The error of a trace that could not be written to its end, with what is left of it.
absl::Status with_what_is_left(const absl::Status& error, TraceWriter& writer) {
  const absl::StatusOr<SalvagedTrace> left = writer.salvage();
  if (!left.ok()) return error;
  return absl::Status(error.code(),
                      absl::StrFormat("%s; the first %s references are in %s", error.message(),
                                      with_separators(left->references), left->path));
}

absl::StatusOr<int> record(const Arguments& arguments) {
  RecordOptions options;
  options.command = arguments.all("PROGRAM");
  options.follow_children = !arguments.given("--no-follow");
  const absl::StatusOr<uint64_t> limit = arguments.count("--limit");
  if (!limit.ok()) return limit.status();
  options.limit = *limit;
  const absl::StatusOr<uint64_t> level = arguments.count("--level");
  if (!level.ok()) return level.status();
  if (*level < 1 || *level > 22) return absl::InvalidArgumentError("--level: not between 1 and 22");
  const std::string path =
      arguments.given("--output") ? arguments.text("--output") : default_output(options.command.front());
  if (path == "-" && arguments.given("--json")) {
    return absl::InvalidArgumentError("--json and a trace cannot both go to standard output");
  }
  options.output_to_error = path == "-";
  TraceInfo about = describe_recording(options);
  if (arguments.given("--note")) about.note = arguments.text("--note");
  absl::StatusOr<std::unique_ptr<TraceWriter>> writer =
      create_trace({path, arguments.text("--to"), static_cast<int>(*level)}, about);
  if (!writer.ok()) return writer.status();

  // The recorder takes the signals over only while it runs. Ctrl-C as the program starts must not
  // be lost, and as it ends must not cost the recording.
  std::optional<SignalsNoted> noted(std::in_place);
  Progress line(!arguments.given("--quiet"));
  options.progress = [&](const RecordProgress& p) {
    noted->hand_on();
    line.update(p.references, std::nullopt,
                absl::StrFormat(", %.1f MB written, %d %s", 1e-6 * static_cast<double>(p.bytes_written),
                                p.processes_alive, p.processes_alive == 1 ? "process" : "processes"));
  };
  const absl::StatusOr<RecordResult> result = record_program(options, **writer);
  line.erase();
  // Without a program there is no trace; once there were records, they are kept whatever happened. (The
  // disk may have failed, too, with any status.)
  if (!result.ok() && never_ran(result.status())) return with_what_is_left(result.status(), **writer);
  // A reader of a pipe may keep us waiting; there is no file then that a signal could cost.
  if (path == "-") noted.reset();
  if (absl::Status s = (*writer)->finish(); !s.ok()) return with_what_is_left(s, **writer);
  noted.reset();
  if (!result.ok()) {
    return absl::Status(result.status().code(),
                        absl::StrCat(result.status().message(), " (", path, " holds what came before)"));
  }
  for (const absl::string_view message :
       absl::StrSplit(result->messages, '\n', absl::SkipWhitespace())) {
    print_message(absl::StrCat("valgrind: ", message));
  }
  if (arguments.given("--json")) {
    const nlohmann::ordered_json document = {{"schema", "gnomon.record/1"},
                                             {"output", path},
                                             {"references", result->references},
                                             {"events", result->events},
                                             {"processes", result->processes},
                                             {"threads", result->threads},
                                             {"bytes", (*writer)->bytes_written()},
                                             {"program_status", result->program_status},
                                             {"interrupted", result->interrupted},
                                             {"limit_reached", result->limit_reached}};
    return write_result(json_text(document), kSuccess);
  }
  if (!arguments.given("--quiet")) print_summary(*result, **writer, path);
  if (result->program_status != 0 && !result->limit_reached && !result->interrupted) {
    print_warning(absl::StrCat("the program ended with status ", result->program_status));
  }
  return kSuccess;
}

int run_record(const Arguments& arguments) {
  const absl::StatusOr<int> code = record(arguments);
  return code.ok() ? *code : report_failure(code.status());
}

constexpr OptionSpec kRecordOptions[] = {
    {"PROGRAM", 0, kCommandValue, "", "the program and its arguments, after --", true},
    {"--output", 'o', "FILE", "PROGRAM.gtrace", "the trace; the suffix says its format; - for a pipe"},
    {"--to", 0, "NAME", "", "format to write; by default that of the file's suffix", false, output_words},
    {"--level", 0, "N", "9", "zstd level of a .gtrace, 1 to 22"},
    {"--limit", 0, "N", "0", "stop after N references; the program is ended"},
    {"--no-follow", 0, "", "", "do not record the processes that the program starts"},
    {"--note", 0, "TEXT", "", "a line to keep in the trace: how it was made"},
    kJsonOption,
    kQuietOption,
};
constexpr Example kRecordExamples[] = {
    {"gnomon record -o sort.gtrace -- sort -S 1M file", "one program"},
    {"gnomon record -o build.gtrace -- make -j1", "everything that make starts, too"},
    {"gnomon record -o - --to csv -- ls | head", "a look at what ls does"},
};

}  // namespace

const Verb kRecordVerb = {
    "record", "record a real program's memory accesses and mappings",
    "Runs the program under valgrind, which must be installed, and follows the processes it starts. The\n"
    "program's own input and output are untouched, but for -o -: then its output goes to standard error.\n"
    "Ctrl-C ends the program; the trace up to there is kept. On a full disk what could be written of a\n"
    ".gtrace is kept as FILE.part.\n"
    "Exits with 0 whatever the program's own status is; that is in the summary.",
    kRecordExamples, kRecordOptions, run_record};

}  // namespace gnomon::tools

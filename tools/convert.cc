// SPDX-License-Identifier: Apache-2.0
//
// The verbs `convert` and `gen`: a trace from one format, or from a generator, into another.
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/traces/formats.h"
#include "gnomon/traces/generators.h"
#include "gnomon/traces/trace_reader.h"
#include "tools/commands.h"
#include "tools/copy_trace.h"
#include "tools/format_option.h"
#include "tools/json_text.h"
#include "tools/output.h"
#include "tools/table.h"
#include "tools/units.h"
#include "tools/words.h"

namespace gnomon::tools {
namespace {

/// Bytes of the file that was written: a writer does not know what compression makes of its own.
uint64_t bytes_of_output(const TraceTarget& target, uint64_t written) {
  struct stat info = {};
  if (compressed_suffix(target.path).empty() || stat(target.path.c_str(), &info) != 0 ||
      !S_ISREG(info.st_mode)) {
    return written;
  }
  return static_cast<uint64_t>(info.st_size);
}

/// Reads the options that both verbs have, copies, and reports.
absl::StatusOr<int> copy(const Arguments& arguments, TraceReader& reader, const TraceTarget& where) {
  TraceTarget target = where;
  CopyOptions options;
  options.quiet = arguments.given("--quiet");
  const absl::StatusOr<uint64_t> level = arguments.count("--level");
  if (!level.ok()) return level.status();
  if (*level < 1 || *level > 22) return absl::InvalidArgumentError("--level: not between 1 and 22");
  target.compression = static_cast<int>(*level);
  const struct {
    absl::string_view option;
    uint64_t& value;
  } windows[] = {{"--skip", options.skip}, {"--limit", options.limit}};
  for (const auto& [option, value] : windows) {
    if (arguments.find(option) == nullptr) continue;
    const absl::StatusOr<uint64_t> n = arguments.count(option);
    if (!n.ok()) return n.status();
    value = *n;
  }
  const absl::StatusOr<CopyResult> done = copy_trace(reader, target, options);
  if (!done.ok()) return done.status();
  const uint64_t bytes = bytes_of_output(target, done->bytes);
  if (reader.stats().left_out > 0) {
    print_warning(absl::StrCat(with_separators(reader.stats().left_out), " left out in reading; the first: ",
                               reader.stats().first_fault));
  }
  if (!reader.stats().warning.empty()) print_warning(reader.stats().warning);
  if (done->references == 0) print_warning("no references: nothing was left after --skip, or the trace has none");
  if (done->left_out > 0) {
    print_warning(absl::StrCat(with_separators(done->left_out),
                               " records or events left out: the format has no place for them"));
  }
  if (arguments.given("--json")) {
    const nlohmann::ordered_json document = {{"schema", "gnomon.convert/1"},
                                             {"output", target.path},
                                             {"references", done->references},
                                             {"events", done->events},
                                             {"bytes", bytes},
                                             {"left_out_reading", reader.stats().left_out},
                                             {"left_out_writing", done->left_out}};
    return write_result(json_text(document), kSuccess);
  }
  if (target.path != "-" && !options.quiet) {
    const double per = done->references == 0 ? 0
                                             : static_cast<double>(bytes) /
                                                   static_cast<double>(done->references);
    print_message(absl::StrFormat("%s: %s and %s, %s (%.2f a reference)", target.path,
                                  count_of(done->references, "reference", "references"),
                                  count_of(done->events, "event", "events"),
                                  count_of(bytes, "byte", "bytes"), per));
  }
  return kSuccess;
}

absl::Status json_and_stdout(const Arguments& arguments, const TraceTarget& target) {
  if (arguments.given("--json") && target.path == "-") {
    return absl::InvalidArgumentError("--json and a trace cannot both go to standard output");
  }
  return absl::OkStatus();
}

int run_convert(const Arguments& arguments) {
  const std::string from = arguments.text("--from");
  const TraceTarget target{arguments.text("OUTPUT"), arguments.text("--to")};
  if (absl::Status s = json_and_stdout(arguments, target); !s.ok()) return report_failure(s);
  if (absl::Status s = check_format(arguments, "--from"); !s.ok()) return report_failure(s);
  const ReadMode mode = arguments.given("--lenient") ? ReadMode::kLenient : ReadMode::kStrict;
  absl::StatusOr<std::unique_ptr<TraceReader>> reader = open_trace(arguments.text("INPUT"), {from, mode});
  if (!reader.ok()) return report_failure(reader.status());
  const absl::StatusOr<int> code = copy(arguments, **reader, target);
  return code.ok() ? *code : report_failure(code.status());
}

int list_generators(const Arguments& arguments) {
  if (arguments.given("--json")) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const GeneratorInfo& g : generators()) {
      rows.push_back({{"name", std::string(g.name)}, {"description", std::string(g.description)}});
    }
    const nlohmann::ordered_json document = {{"schema", "gnomon.generators/1"},
                                             {"generators", rows},
                                             {"common_keys", std::string(kCommonGeneratorKeys)}};
    return write_result(json_text(document), kSuccess);
  }
  Table table(Table::Align::kLeft);
  for (const GeneratorInfo& g : generators()) {
    table.add_row({std::string(g.name), std::string(g.description)});
  }
  return write_result(
      absl::StrCat(table.to_string(), "\nevery pattern also takes: ", kCommonGeneratorKeys, "\n"), kSuccess);
}

int run_gen(const Arguments& arguments) {
  if (!arguments.given("PATTERN")) {
    if (!arguments.given("--output")) return list_generators(arguments);
    return report_failure(absl::InvalidArgumentError("gen: PATTERN is missing; `gnomon gen` lists them"));
  }
  const TraceTarget target{arguments.text("OUTPUT"), arguments.text("--to")};
  if (absl::Status s = json_and_stdout(arguments, target); !s.ok()) return report_failure(s);
  absl::StatusOr<std::unique_ptr<TraceReader>> reader = create_generator(arguments.text("PATTERN"));
  if (!reader.ok()) return report_failure(reader.status());
  const absl::StatusOr<int> code = copy(arguments, **reader, target);
  return code.ok() ? *code : report_failure(code.status());
}

constexpr OptionSpec kLevel = {"--level", 0, "N", "9", "zstd level of a .gtrace, 1 to 22"};
constexpr OptionSpec kTo = {"--to", 0, "NAME", "", "format to write; by default that of the file's suffix", false,
                            output_words};

constexpr OptionSpec kOutput = {"--output", 'o', kFileValue, "", "the same as OUTPUT"};

constexpr OptionSpec kConvertOptions[] = {
    {"INPUT", 0, kFileValue, "", "a trace in any format that is read, compressed or not, - or gen:PATTERN"},
    {"OUTPUT", 0, kFileValue, "", "the file to write, compressed if it ends in .gz, .xz, .zst or .bz2; - for standard output"},
    kOutput,
    {"--from", 0, "NAME", "", "format of the input; by default told by its content", false, format_words},
    kTo,
    kLevel,
    {"--skip", 0, "N", "0", "leave out the first N references; the mappings made by then are kept"},
    {"--limit", 0, "N", "0", "write N references, then stop; 0: to the end"},
    {"--lenient", 0, "", "", "leave out what is damaged in the input, and count it"},
    kJsonOption,
    kQuietOption,
};
constexpr Example kConvertExamples[] = {
    {"gnomon convert trace.champsimtrace.xz trace.gtrace", "another tool's trace, made small and fast to read"},
    {"gnomon convert sort.gtrace - --to csv | head", "a look at the records"},
    {"gnomon convert sort.gtrace -o sort.csv.gz", "for other programs, compressed"},
    {"gnomon convert sort.gtrace part.gtrace --skip 10M --limit 1M", "a piece of a trace"},
};
constexpr OptionSpec kGenOptions[] = {
    {"PATTERN", 0, "", "none", "PATTERN,KEY=VALUE,...; without it the patterns are listed", false, pattern_words},
    {"OUTPUT", 0, kFileValue, "-", "the file to write, compressed if it ends in .gz, .xz, .zst or .bz2; - for a pipe"},
    kOutput,
    kTo,
    kLevel,
    kJsonOption,
    kQuietOption,
};
constexpr Example kGenExamples[] = {
    {"gnomon gen", "the patterns and their keys"},
    {"gnomon gen zipf,bytes=1G,refs=20M zipf.gtrace", "a seeded stream, the same on every machine"},
    {"gnomon compare gen:zipf,bytes=1G,refs=20M", "the same stream without a file"},
};

}  // namespace

const Verb kConvertVerb = {"convert", "turn a trace of one format into another",
                           "`gnomon formats` lists the formats; docs/trace-formats.md says what each can hold.",
                           kConvertExamples, kConvertOptions, run_convert};
const Verb kGenVerb = {"gen", "write a synthetic trace", "Every pattern takes refs, seed, base, fetches and thp besides its own keys. `gnomon gen` lists them\n"
                       "with their defaults; docs/generators.md describes them.",
                       kGenExamples, kGenOptions, run_gen};

}  // namespace gnomon::tools

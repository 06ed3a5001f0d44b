// SPDX-License-Identifier: Apache-2.0
#include "tools/copy_trace.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gnomon/traces/formats.h"
#include "gnomon/traces/gtrace.h"
#include "tools/progress.h"

namespace gnomon::tools {
namespace {

absl::StatusOr<const TraceFormat*> chosen_format(const TraceTarget& target) {
  if (!target.format.empty()) {
    absl::StatusOr<const TraceFormat*> format = find_trace_format(target.format);
    if (format.ok()) return format;
    return absl::InvalidArgumentError(absl::StrCat("--to: ", format.status().message()));
  }
  for (const TraceFormat& format : trace_formats()) {
    if (!format.suffix.empty() && absl::EndsWith(target.path, format.suffix)) return &format;
  }
  if (target.path == "-") return find_trace_format("gtrace");
  return absl::InvalidArgumentError(
      absl::StrCat(target.path, ": which format? Name one with --to, or by a suffix such as .gtrace"));
}

bool is_text(const TraceFormat& format) {
  constexpr absl::string_view kText[] = {"csv", "lackey", "pinatrace"};
  return absl::c_linear_search(kText, format.name);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TraceWriter>> create_trace(const TraceTarget& target, const TraceInfo& info) {
  const absl::StatusOr<const TraceFormat*> format = chosen_format(target);
  if (!format.ok()) return format.status();
  if ((*format)->write == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(target.path, ": the format ", (*format)->name, " is read, but not written"));
  }
  if (target.path == "-" && isatty(STDOUT_FILENO) == 1 && !is_text(**format)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "standard output is a terminal, and ", (*format)->name, " is not text: name a file, or --to csv"));
  }
  absl::StatusOr<std::unique_ptr<ByteSink>> sink = create_sink(target.path);
  if (!sink.ok()) return sink.status();
  if ((*format)->name == "gtrace") {
    GtraceOptions options;
    options.compression = target.compression;
    return create_gtrace_writer(*std::move(sink), info, options);
  }
  return (*format)->write(*std::move(sink), info);
}

namespace {

std::optional<double> part_done(const TraceReader& reader, uint64_t passed) {
  const auto part = [](uint64_t done, uint64_t total) {
    return static_cast<double>(done) / static_cast<double>(std::max<uint64_t>(total, 1));
  };
  if (const auto bytes = reader.total_bytes()) return part(reader.stats().bytes, *bytes);
  if (const auto all = reader.info().references) return part(passed, *all);
  return std::nullopt;
}

}  // namespace

absl::StatusOr<CopyResult> copy_trace(TraceReader& reader, const TraceTarget& target,
                                      const CopyOptions& options) {
  std::vector<TraceRecord> records(16384);
  std::vector<TraceEvent> events;
  std::unique_ptr<TraceWriter> writer;
  Progress progress(!options.quiet);
  CopyResult result;
  uint64_t passed = 0;
  const uint64_t room = ~uint64_t{0} - options.skip;
  const uint64_t end = options.skip + (options.limit == 0 ? room : std::min(options.limit, room));
  for (;;) {
    const absl::StatusOr<size_t> got = reader.read(absl::MakeSpan(records), events);
    if (!got.ok()) return got.status();
    if (writer == nullptr) {
      absl::StatusOr<std::unique_ptr<TraceWriter>> made = create_trace(target, reader.info());
      if (!made.ok()) return made.status();
      writer = *std::move(made);
    }
    if (*got == 0 || passed >= end) break;
    size_t from = 0;
    size_t to = 0;
    for (; to < *got && passed < end; ++to) {
      if (passed < options.skip) from = to + 1;
      const uint64_t n = references_of(records[to].kind);
      passed += n;
      if (from <= to) {
        result.references += n;
        result.events += n == 0;
      }
    }
    const auto part = absl::MakeConstSpan(records).subspan(from, to - from);
    if (absl::Status s = writer->write(part, events); !s.ok()) return s;
    const double megabytes = 1e-6 * static_cast<double>(writer->bytes_written());
    progress.update(passed, part_done(reader, passed), absl::StrFormat(", %.1f MB written", megabytes));
  }
  if (absl::Status s = writer->finish(); !s.ok()) return s;
  result.bytes = writer->bytes_written();
  result.left_out = writer->left_out();
  return result;
}

}  // namespace gnomon::tools

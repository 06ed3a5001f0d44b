// SPDX-License-Identifier: Apache-2.0
#include "tools/copy_trace.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "gnomon/traces/formats.h"
#include "gnomon/traces/gtrace.h"
#include "tools/kept_guest.h"
#include "tools/kept_state.h"
#include "tools/progress.h"

namespace gnomon::tools {
namespace {

absl::StatusOr<const TraceFormat*> chosen_format(const TraceTarget& target) {
  if (!target.format.empty()) {
    absl::StatusOr<const TraceFormat*> format = find_trace_format(target.format);
    if (format.ok()) return format;
    return absl::InvalidArgumentError(absl::StrCat("--to: ", format.status().message()));
  }
  const absl::string_view name =
      absl::StripSuffix(target.path, compressed_suffix(target.path));
  for (const TraceFormat& format : trace_formats()) {
    if (!format.suffix.empty() && absl::EndsWith(name, format.suffix)) return &format;
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
    return absl::InvalidArgumentError(absl::StrCat(target.format.empty() ? target.path : "--to", ": the format ", (*format)->name, " is read, but not written"));
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
  uint64_t skipped = 0;
  KeptState state;
  KeptGuest guest;
  bool state_written = options.skip == 0;
  const auto enough = [&] { return options.limit != 0 && result.references >= options.limit; };
  while (!enough()) {
    const absl::StatusOr<size_t> got = reader.read(absl::MakeSpan(records), events);
    if (!got.ok()) return got.status();
    if (writer == nullptr) {
      TraceInfo info = reader.info();
      if (options.skip != 0 || options.limit != 0) info.references.reset();
      absl::StatusOr<std::unique_ptr<TraceWriter>> made = create_trace(target, info);
      if (!made.ok()) return made.status();
      writer = *std::move(made);
    }
    if (*got == 0) break;
    // As in a replay: a modify is not cut, and events behind the last reference of a part belong to the
    // next one.
    size_t from = 0;
    for (; from < *got && skipped < options.skip; ++from) {
      skipped += references_of(records[from].kind);
      if (records[from].kind != RecordKind::kEvent) continue;
      const TraceEvent& event = events[records[from].address.value()];
      if (absl::Status s = reader.info().guest ? guest.pass(event) : state.pass(event); !s.ok()) {
        return absl::Status(s.code(), absl::StrCat(reader.name(), ": ", s.message()));
      }
    }
    if (!state_written && from < *got) {
      state_written = true;
      const TraceBatch start = state.batch();
      absl::Status s = reader.info().guest ? guest.write(*writer, result.events)
                                           : writer->write(start.records, start.events);
      if (!s.ok()) return s;
      result.events += start.events.size();
    }
    size_t to = from;
    for (; to < *got && !enough(); ++to) {
      const uint64_t n = references_of(records[to].kind);
      result.references += n;
      result.events += n == 0;
    }
    const auto part = absl::MakeConstSpan(records).subspan(from, to - from);
    if (absl::Status s = writer->write(part, events); !s.ok()) return s;
    const uint64_t passed = skipped + result.references;
    const double megabytes = 1e-6 * static_cast<double>(writer->bytes_written());
    progress.update(passed, part_done(reader, passed), absl::StrFormat(", %.1f MB written", megabytes));
  }
  if (absl::Status s = writer->finish(); !s.ok()) return s;
  result.bytes = writer->bytes_written();
  result.left_out = writer->left_out();
  return result;
}

}  // namespace gnomon::tools

// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "gnomon/traces/formats.h"
#include "gnomon/traces/generators.h"
#include "gnomon/traces/gtrace.h"
#include "gnomon/traces/lackey.h"
#include "traces/formats/all.h"
#include "traces/io/peek.h"

namespace gnomon {
namespace {

constexpr size_t kFrontBytes = 4096;

std::unique_ptr<TraceReader> read_lackey(std::unique_ptr<ByteSource> source, ReadMode mode) {
  return make_lackey_reader(std::move(source), mode);
}
absl::StatusOr<std::unique_ptr<TraceWriter>> write_gtrace(std::unique_ptr<ByteSink> sink,
                                                          const TraceInfo& info) {
  return create_gtrace_writer(std::move(sink), info);
}

constexpr std::array<TraceFormat, 8> kFormats = {{
    {"gtrace", ".gtrace", "Gnomon's own: compressed, with everything", &is_gtrace,
     &make_gtrace_reader, &write_gtrace},
    {"lackey", ".lackey", "text of valgrind --tool=lackey --trace-mem=yes", &is_lackey,
     &read_lackey, &create_lackey_writer},
    {"champsim", ".champsim", "ChampSim's 64-byte instructions; no sizes, not told by content",
     nullptr, &make_champsim_reader, &create_champsim_writer},
    {"champsim-cloudsuite", ".cloudsuite",
     "the 96-byte instructions of ChampSim's CloudSuite traces", nullptr, &make_cloudsuite_reader,
     nullptr},
    {"dynamorio", ".drmemtrace", "DynamoRIO's drmemtrace of one thread, after raw2trace",
     &is_dynamorio, &make_dynamorio_reader, &create_dynamorio_writer},
    {"pinatrace", ".pinatrace", "text of Pin's example tool; no sizes, fetches only of accesses",
     &is_pinatrace, &make_pinatrace_reader, &create_pinatrace_writer},
    {"gem5", ".ptrc", "gem5's packet trace of a memory bus; physical addresses", &is_gem5,
     &make_gem5_reader, nullptr},
    {"csv", ".csv", "text for other programs: op,address,size and more; with everything", &is_csv,
     &make_csv_reader, &create_csv_writer},
}};

/// Names under which traces are published, beyond the formats' own suffixes.
struct Alias {
  absl::string_view ending;
  absl::string_view format;
};
constexpr Alias kAliases[] = {
    {"champsimtrace", "champsim"},
    {"champsim.trace", "champsim"},
    {"pinatrace.out", "pinatrace"},
    {".gem5", "gem5"},
};

const TraceFormat* find_by_name(absl::string_view name) {
  for (const TraceFormat& format : kFormats) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

std::string known_formats() {
  return absl::StrJoin(kFormats, ", ", [](std::string* out, const TraceFormat& format) {
    absl::StrAppend(out, format.name);
  });
}

const TraceFormat* find_by_content(absl::string_view front) {
  for (const TraceFormat& format : kFormats) {
    if (format.recognize != nullptr && format.recognize(front)) return &format;
  }
  return nullptr;
}

const TraceFormat* find_by_suffix(absl::string_view path) {
  for (const absl::string_view packed : {".gz", ".xz", ".zst", ".bz2", ".zip"}) {
    if (absl::ConsumeSuffix(&path, packed)) break;
  }
  for (const TraceFormat& format : kFormats) {
    if (absl::EndsWith(path, format.suffix)) return &format;
  }
  for (const Alias& alias : kAliases) {
    if (absl::EndsWith(path, alias.ending)) return find_by_name(alias.format);
  }
  return nullptr;
}

}  // namespace

absl::Span<const TraceFormat> trace_formats() { return kFormats; }

absl::StatusOr<const TraceFormat*> find_trace_format(absl::string_view name) {
  if (const TraceFormat* const format = find_by_name(name); format != nullptr) return format;
  return absl::InvalidArgumentError(
      absl::StrCat("no trace format \"", name, "\"; known are ", known_formats()));
}

absl::StatusOr<std::unique_ptr<TraceReader>> open_trace(absl::string_view path,
                                                        const OpenOptions& options) {
  if (absl::ConsumePrefix(&path, "gen:")) return create_generator(path);
  const TraceFormat* format = nullptr;
  if (!options.format.empty()) {
    const absl::StatusOr<const TraceFormat*> named = find_trace_format(options.format);
    if (!named.ok()) return named.status();
    format = *named;
  }
  absl::StatusOr<std::unique_ptr<ByteSource>> stored = open_bytes(path);
  if (!stored.ok()) return stored.status();
  absl::StatusOr<std::unique_ptr<ByteSource>> bytes = decompress(*std::move(stored));
  if (!bytes.ok()) return bytes.status();
  auto source = std::make_unique<PeekedBytes>(*std::move(bytes));
  if (format == nullptr) {
    const absl::StatusOr<absl::string_view> front = source->peek(kFrontBytes);
    if (!front.ok()) return front.status();
    format = find_by_content(*front);
    if (format == nullptr) format = find_by_suffix(path);
    if (format == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(source->name(), front->empty() ? ": empty" : ": not recognized as a trace",
                       "; name its format (--format): ", known_formats()));
    }
  }
  return format->read(std::move(source), options.mode);
}

}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
//
// Any text as a generator's spec: an error that says something, or a stream in which programs live
// properly, however it is read.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "gnomon/traces/generators.h"
#include "tests/generate/stream_check.h"

namespace gnomon {
namespace {

constexpr const char* kPatterns[] = {"uniform", "sequential", "stride", "zipf", "chase",
                                     "gups",    "bfs",        "churn",  "fork", "switch"};
constexpr const char* kKeys[] = {"refs",  "seed",     "base",   "fetches",  "thp",   "bytes",
                                 "size",  "writes",   "step",   "theta",    "law",   "scatter",
                                 "least", "live",     "passes", "touches",  "alive", "exec",
                                 "slice", "vertices", "degree", "processes"};
constexpr const char* kValues[] = {
    "0",   "1",  "2",  "7",   "50",   "100",    "300", "4096", "5000", "1K",          "8K",
    "64K", "1M", "on", "off", "zipf", "65536G", "1G",  "-1",   "x",    "0x7fffff000", "loguniform"};

void require(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

template <size_t kCount>
const char* pick(const char* const (&from)[kCount], uint8_t by) {
  return from[by % kCount];
}

/// The bytes as they are, or if the first is above 127 a spec put together from words: it says
/// which pattern and how many keys, and each further pair of bytes is a key and its value.
std::string spec_of(const uint8_t* data, size_t size) {
  if (size == 0 || data[0] < 128) return std::string(data, data + size);
  std::string spec = pick(kPatterns, data[0]);
  const size_t keys = data[0] / 10 % 4;
  for (size_t i = 1; i + 1 < size && i < 1 + 2 * keys; i += 2) {
    spec += std::string(",") + pick(kKeys, data[i]) + "=" + pick(kValues, data[i + 1]);
  }
  return spec;
}

struct Drawn {
  std::vector<TraceRecord> records;
  uint64_t references = 0;
  bool ended = false;
};

/// The first records, checked as they come.
Drawn draw(TraceReader& reader, size_t at_once, const std::string& spec) {
  constexpr size_t kMost = 5000;
  Drawn drawn;
  generate_test::StreamCheck check;
  std::vector<TraceRecord> batch(at_once);
  std::vector<TraceEvent> events;
  while (drawn.records.size() < kMost && !drawn.ended) {
    const absl::StatusOr<size_t> got = reader.read(absl::MakeSpan(batch), events);
    require(got.ok() && *got <= batch.size(), spec + ": no records");
    const std::string wrong = check.take(absl::MakeSpan(batch.data(), *got), events);
    require(wrong.empty(), spec + ": " + wrong);
    for (size_t i = 0; i < *got; ++i) {
      if (batch[i].kind == RecordKind::kEvent) batch[i].address = Gva(0);
      drawn.records.push_back(batch[i]);
    }
    drawn.ended = *got == 0;
  }
  drawn.references = check.references();
  require(!drawn.ended || !check.running(), spec + ": a process has not ended");
  return drawn;
}

}  // namespace
}  // namespace gnomon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gnomon;
  const std::string spec = spec_of(data, size);
  const auto reader = create_generator(spec);
  if (!reader.ok()) {
    require(reader.status().code() == absl::StatusCode::kInvalidArgument, spec + ": odd status");
    require(!reader.status().message().empty(), spec + ": no message");
    return 0;
  }
  const Drawn drawn = draw(**reader, 1000, spec);
  const uint64_t wanted = (*reader)->info().references.value();
  require(drawn.ended ? drawn.references == wanted : drawn.references <= wanted,
          spec + ": wrong number of references");

  const auto again = create_generator((*reader)->info().program);
  require(again.ok(), spec + ": its whole spec is refused");
  const Drawn same = draw(**again, 256, spec);
  const size_t both = std::min(drawn.records.size(), same.records.size());
  require(
      std::equal(drawn.records.begin(), drawn.records.begin() + static_cast<std::ptrdiff_t>(both),
                 same.records.begin()),
      spec + ": its whole spec gives another stream");
  return 0;
}

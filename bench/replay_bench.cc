// SPDX-License-Identifier: Apache-2.0
// Replaying .gtrace files, decoding included: nanoseconds a reference in steady state. What comes
// first, while pages are touched for the first time, runs untimed. The files are made up
// (docs/generators.md) and short; GNOMON_BENCH_TRACE names another one, whose rows are called
// "file".
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bench/machine.h"
#include "gnomon/replay/machine.h"
#include "gnomon/traces/formats.h"
#include "gnomon/traces/gtrace.h"
#include "tests/support/temporary_directory.h"
#include "traces/replay/feed.h"

namespace gnomon::bench {
namespace {

constexpr uint64_t kWarmup = 8'000'000;
constexpr uint64_t kMeasured = 8'000'000;

struct Workload {
  absl::string_view name;
  absl::string_view spec;
};
// Writes, because pages that are only read share one frame of zeros.
constexpr Workload kWorkloads[] = {
    {"loop", "gen:sequential,bytes=128K,fetches=on,writes=30"},
    {"zipf", "gen:zipf,bytes=1G,fetches=on,writes=30"},
    {"uniform", "gen:uniform,bytes=1G,fetches=on,writes=30"},
};

/// The made-up files, each written when it is first asked for, gone when the program ends.
class Files {
 public:
  const std::string& of(const Workload& workload) {
    std::string& path = paths_[workload.name];
    if (!path.empty()) return path;
    path = directory_.path(absl::StrCat(workload.name, ".gtrace"));
    write(absl::StrCat(workload.spec, ",refs=", kWarmup + kMeasured), path);
    return path;
  }

 private:
  static void write(const std::string& spec, const std::string& path) {
    auto reader = open_trace(spec);
    auto sink = create_sink(path);
    require(reader.ok() && sink.ok());
    auto writer = create_gtrace_writer(*std::move(sink), (*reader)->info());
    require(writer.ok());
    std::vector<TraceRecord> records(8192);
    std::vector<TraceEvent> events;
    for (;;) {
      const absl::StatusOr<size_t> got = (*reader)->read(absl::MakeSpan(records), events);
      require(got.ok());
      if (*got == 0) break;
      require((*writer)->write(absl::MakeConstSpan(records).first(*got), events).ok());
    }
    require((*writer)->finish().ok());
  }

  test_support::TemporaryDirectory directory_;
  std::map<absl::string_view, std::string> paths_;
};

Feed open_feed(const std::string& path) {
  auto reader = open_trace(path);
  require(reader.ok());
  return Feed(*std::move(reader));
}

/// At most `references` of the trace, on the machine if there is one; returns how many there were.
uint64_t go(Feed& feed, ReplayMachine* machine, uint64_t references) {
  const uint64_t before = feed.taken();
  while (feed.taken() - before < references) {
    const absl::StatusOr<Piece> piece = feed.take(references - (feed.taken() - before));
    require(piece.ok());
    if (piece->empty()) break;
    if (machine != nullptr) {
      require(machine->run(0, piece->records, piece->events).ok());
    } else {
      benchmark::DoNotOptimize(piece->records.data());
    }
  }
  return feed.taken() - before;
}

/// `backend` may be empty: decoding alone. One iteration is one reference.
void Replay(benchmark::State& state, const std::string& path, absl::string_view backend,
            absl::string_view caches) {
  Feed feed = open_feed(path);
  std::unique_ptr<ReplayMachine> machine;
  if (!backend.empty()) {
    MachineOptions options;
    options.backend = std::string(backend);
    options.caches = std::string(caches);
    auto created = ReplayMachine::create(options);
    require(created.ok());
    machine = *std::move(created);
  }
  go(feed, machine.get(), kWarmup);
  double time = 0;
  uint64_t references = 0;
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(kMeasured))) {
    time = seconds([&] { references = go(feed, machine.get(), kMeasured); });
    // A shorter trace counts as if it went on at the same speed.
    if (references != 0) time *= static_cast<double>(kMeasured) / static_cast<double>(references);
    state.SetIterationTime(time);
  }
  if (references == 0) state.SkipWithError("the trace is shorter than the warm-up");
  state.counters["Mrefs_per_s"] = static_cast<double>(kMeasured) / time / 1e6;
}

const std::string& path_of(const Workload* workload) {
  static Files files;
  static const std::string file = [] {
    const char* const given = std::getenv("GNOMON_BENCH_TRACE");
    return std::string(given == nullptr ? "" : given);
  }();
  return workload == nullptr ? file : files.of(*workload);
}

void add(absl::string_view trace, const Workload* workload) {
  const auto row = [&](absl::string_view name, std::string backend, std::string caches) {
    benchmark::RegisterBenchmark(
        absl::StrCat("Replay/", trace, "/", name).c_str(),
        [=](benchmark::State& state) { Replay(state, path_of(workload), backend, caches); })
        ->Iterations(static_cast<benchmark::IterationCount>(kMeasured))
        ->UseManualTime();
  };
  row("decode", "", "none");
  for (const char* backend : {"native", "shadow", "nested", "agile"}) {
    row(backend, backend, "none");
    row(absl::StrCat(backend, "+caches"), backend, "zen4");
  }
}

const int kRows [[maybe_unused]] = [] {
  for (const Workload& workload : kWorkloads) add(workload.name, &workload);
  if (!path_of(nullptr).empty()) add("file", nullptr);
  return 0;
}();

}  // namespace
}  // namespace gnomon::bench

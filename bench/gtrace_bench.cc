// SPDX-License-Identifier: Apache-2.0
// Reading and writing the trace format, in records a second. The trace is made up: loops over
// arrays, calls and a stack; or read from the gtrace file that the environment variable
// GNOMON_BENCH_TRACE names.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gnomon/traces/gtrace.h"

namespace gnomon::bench {
namespace {

constexpr size_t kRecords = size_t{4} << 20;

/// Functions of a few blocks each: a loop with loads, a store to the stack now and then, and
/// branches that follow a generator of random numbers.
std::vector<TraceRecord> made_up() {
  std::vector<TraceRecord> records;
  records.reserve(kRecords + 4096);
  uint64_t random = 1;
  const auto below = [&](uint64_t bound) {
    random = random * 6364136223846793005 + 1442695040888963407;
    return (random >> 33) % bound;
  };
  const auto put = [&](RecordKind kind, uint64_t address, uint16_t size) {
    records.push_back({Gva(address), size, kind, false});
  };
  uint64_t stack = 0x7ffffffde000;
  while (records.size() < kRecords) {
    const uint64_t code = 0x401000 + below(300) * 0x140;
    const uint64_t array = 0x7f1200000000 + below(64) * 0x40000;
    put(RecordKind::kFetch, code, 1);
    put(RecordKind::kStore, stack - 8, 8);
    for (uint64_t turn = 0, turns = 2 + below(40); turn < turns; ++turn) {
      put(RecordKind::kFetch, code + 0x10, 4);
      put(RecordKind::kLoad, array + turn * 8, 8);
      put(RecordKind::kFetch, code + 0x14, 3);
      put(RecordKind::kFetch, code + 0x17, 2);
      if (below(8) == 0) {
        put(RecordKind::kFetch, code + 0x80, 5);
        put(RecordKind::kModify, stack - 0x18, 4);
        put(RecordKind::kFetch, code + 0x85, 5);
      }
      put(RecordKind::kFetch, code + 0x19, 4);
      put(RecordKind::kFetch, code + 0x1d, 2);
    }
    put(RecordKind::kFetch, code + 0x1f, 1);
    put(RecordKind::kLoad, stack - 8, 8);
    stack = below(2) == 0 ? stack - 0x40 : stack + 0x40;
  }
  return records;
}

std::string written(const std::vector<TraceRecord>& records) {
  auto sink = std::make_unique<StringSink>();
  const StringSink& bytes = *sink;
  auto writer = create_gtrace_writer(std::move(sink), {});
  if (!writer.ok() || !(*writer)->write(records, {}).ok() || !(*writer)->finish().ok())
    std::abort();
  return bytes.bytes();
}

/// Goes through a trace once; returns how many records, 0 if it cannot be read.
uint64_t go_through(std::unique_ptr<ByteSource> source, ReadStats& stats) {
  const auto reader = make_gtrace_reader(std::move(source), ReadMode::kStrict);
  std::vector<TraceRecord> records(4096);
  std::vector<TraceEvent> events;
  while (true) {
    const absl::StatusOr<size_t> count = reader->read(absl::MakeSpan(records), events);
    if (!count.ok()) return 0;
    if (*count == 0) break;
    benchmark::DoNotOptimize(records.data());
    benchmark::ClobberMemory();
  }
  stats = reader->stats();
  return stats.records;
}

void report(benchmark::State& state, uint64_t records, uint64_t bytes) {
  state.SetItemsProcessed(static_cast<int64_t>(records) * state.iterations());
  state.counters["bytes_per_record"] = static_cast<double>(bytes) / static_cast<double>(records);
}

void GtraceRead(benchmark::State& state) {
  const std::string bytes = written(made_up());
  ReadStats stats;
  for (auto _ : state) {
    if (go_through(std::make_unique<MemoryBytes>(bytes), stats) == 0) std::abort();
  }
  report(state, stats.records, stats.bytes);
}
BENCHMARK(GtraceRead)->Unit(benchmark::kMillisecond);

void GtraceReadFile(benchmark::State& state) {
  const char* const path = std::getenv("GNOMON_BENCH_TRACE");
  if (path == nullptr) {
    state.SkipWithError("GNOMON_BENCH_TRACE names no trace");
    return;
  }
  ReadStats stats;
  for (auto _ : state) {
    auto source = open_bytes(path);
    if (!source.ok() || go_through(*std::move(source), stats) == 0) {
      state.SkipWithError("the file of GNOMON_BENCH_TRACE cannot be read as gtrace");
      return;
    }
  }
  report(state, stats.records, stats.bytes);
}
// Without a file there is nothing to run.
const int kFileBenchmark [[maybe_unused]] = [] {
  if (std::getenv("GNOMON_BENCH_TRACE") != nullptr) {
    benchmark::RegisterBenchmark("GtraceReadFile", GtraceReadFile)->Unit(benchmark::kMillisecond);
  }
  return 0;
}();

void GtraceWrite(benchmark::State& state) {
  const std::vector<TraceRecord> records = made_up();
  size_t bytes = 0;
  for (auto _ : state) bytes = written(records).size();
  report(state, records.size(), bytes);
}
BENCHMARK(GtraceWrite)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gnomon::bench

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_REPLAY_SESSION_H_
#define GNOMON_REPLAY_SESSION_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gnomon/replay/machine.h"
#include "gnomon/replay/series.h"
#include "gnomon/traces/trace_reader.h"

namespace gnomon {

/// What copies of a trace may be apart to share one reading of it, in references: some 64 MB of records.
inline constexpr uint64_t kMostSharedSlice = 4'000'000;

/// What to replay, and how. Everything but the backend.
struct ReplaySetup {
  std::vector<std::string> traces;  ///< as for open_trace; each is a stream of its own
  std::string format;               ///< of all of them; empty: by content
  ReadMode mode = ReadMode::kStrict;
  MachineOptions machine;           ///< `backend`, `whole_guest`, `lenient` are set by replay()
  CostModel cost;                   ///< of the cycles in the series
  /// Each trace runs so many times at once, each in its own processes. Copies share one reading of their
  /// trace if `slice` is at most kMostSharedSlice; else each reads for itself.
  unsigned copies = 1;
  uint64_t slice = 100'000;         ///< references before the next stream has its turn; with one stream unused
  // A window, in references: left out at the start of each trace (their events still happen), then, over
  // all traces, run without being counted, and counted (0: to the end).
  uint64_t skip = 0;
  uint64_t warmup = 0;
  uint64_t limit = 0;
  bool roi = false;  ///< count only between the marks of a region of interest
  bool audit = false;  ///< check the backend's invariants, and take memory digests
  size_t series_points = 200;
};

/// What was read of one trace.
struct TraceSummary {
  TraceInfo info;
  ReadStats stats;
  std::string name;
  /// Lenient: records that the guest did not take (RunReport), in all copies, and the first: what and where.
  uint64_t rejected = 0;
  std::string first_rejected;
};

/// What one machine counted.
struct ReplayResult {
  std::string spec;
  Counters counters;
  GuestStats guest;
  CacheStats caches;
  bool has_caches = false;
  CostBreakdown cost;
  Series series;
  std::vector<std::string> problems;     ///< audit: broken invariants
  std::vector<uint64_t> memory_digests;  ///< audit
  double seconds = 0;                    ///< of our time, in this machine
};

struct SessionResult {
  std::vector<TraceSummary> traces;
  std::array<uint64_t, 3> references{};  ///< run and counted, by AccessOp, over all streams
  uint64_t skipped = 0;
  uint64_t warmed_up = 0;
  std::vector<ReplayResult> machines;  ///< in the order of the backends
};

/// Told from time to time, on the thread that replays.
struct ReplayProgress {
  std::atomic<uint64_t> references{0};
  std::atomic<uint64_t> bytes{0};
  /// Set once the traces are open; 0: not known.
  std::atomic<uint64_t> total_references{0};
  std::atomic<uint64_t> total_bytes{0};
  std::atomic<bool> stop{false};  ///< set it to end early: the result is of what was run
};

/// Reads the traces once, from front to back, and runs one machine for each backend. Errors are for the
/// user: those of open_trace, the reader, create and run, with the name of the trace and the number of
/// the record. Internal: the backends do not reject the same records of a trace of programs.
absl::StatusOr<SessionResult> replay(const ReplaySetup& setup, absl::Span<const std::string> backends,
                                     ReplayProgress* progress = nullptr);

/// Internal if one of the replays of the same traces rejected what the other took. Whole guests may: what
/// they read from stale translations is the backend's choice.
absl::Status check_rejected(const SessionResult& a, const SessionResult& b);

/// The first difference between the guest memories of two results that were audited; empty if none.
std::string compare_memory(const ReplayResult& a, const ReplayResult& b);

}  // namespace gnomon

#endif  // GNOMON_REPLAY_SESSION_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_REPLAY_MACHINE_H_
#define GNOMON_REPLAY_MACHINE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gnomon/backend.h"
#include "gnomon/cache/hierarchy.h"
#include "gnomon/cost/model.h"
#include "gnomon/guest/kernel.h"
#include "gnomon/guest/options.h"
#include "gnomon/replay/timeline.h"
#include "gnomon/traces/record.h"
#include "gnomon/traces/trace_writer.h"

namespace gnomon {

struct MachineOptions {
  /// As for create_backend: a name, with options after a colon.
  std::string backend = "native";
  /// Largest host page behind guest memory. Larger ones shorten nested walks, and take host memory in
  /// larger pieces.
  PageSize host_page = PageSize::k4K;
  std::string tlb = "zen4";      ///< TLBs and walk caches: a preset by name
  std::string caches = "none";   ///< data caches: a preset by name; none: not modelled
  unsigned vcpus = 1;            ///< at most kMaxVcpus
  GuestOptions guest;            ///< with the size of guest memory
  /// References of one processor between two timer interrupts; 0: none.
  uint64_t tick = 10'000'000;
  /// The trace holds a whole guest's doings (TraceInfo::guest): no kernel is modelled.
  bool whole_guest = false;
  /// Stores put numbers into guest memory and loads read them back (data_checksum). Costs time.
  bool move_data = false;
  /// What happens is put down with its modelled time; both or none. Costs time. Must outlive the machine.
  Timeline* timeline = nullptr;
  const CostModel* timeline_prices = nullptr;
  /// Everything the guest does is written there as a trace of a whole guest. Costs time. Not for one
  /// that is replayed from such a trace.
  TraceWriter* guest_trace = nullptr;
  /// Records that cannot be (RunReport) are left out and counted, instead of ending the run.
  bool lenient = false;

  static constexpr unsigned kMaxVcpus = 64;
};

/// What became of the records of one run() or run_events(). Pointers go into what was given.
struct RunReport {
  /// Records that the guest does not take, whatever the backend: mappings, forks and table accesses that
  /// cannot be, addresses that are not the program's. Nothing of them happens.
  uint64_t rejected = 0;
  std::array<uint64_t, 3> rejected_references{};  ///< of them, by AccessOp
  const TraceRecord* first_rejected = nullptr;
  std::string reason;  ///< why that one was not taken
  const TraceRecord* ended_at = nullptr;  ///< the run ended there with an error
};

/// One simulated machine with one MMU backend, whose guest does what traces say. Machines that are given
/// the same records have the same guest, whatever their backends: what differs is the cost.
class ReplayMachine {
 public:
  /// Errors: InvalidArgument (unknown backend or preset, bad option), ResourceExhausted (no memory for
  /// the guest).
  static absl::StatusOr<std::unique_ptr<ReplayMachine>> create(const MachineOptions& options);
  virtual ~ReplayMachine() = default;

  /// Runs records of one stream; `group` tells streams apart (traces, copies of a trace). Event records
  /// index into `events`. Errors: ResourceExhausted (the guest or the host ran out of memory),
  /// InvalidArgument (a record that cannot be; not when lenient), FailedPrecondition (the machine or its
  /// backend is not one for this trace), Internal (the backend answered what cannot be). Then the machine
  /// cannot go on. The text does not say which record it was: last_run() does.
  virtual absl::Status run(uint32_t group, absl::Span<const TraceRecord> records,
                           absl::Span<const TraceEvent> events) = 0;
  /// Runs the events and leaves the references out.
  virtual absl::Status run_events(uint32_t group, absl::Span<const TraceRecord> records,
                                  absl::Span<const TraceEvent> events) = 0;

  virtual const RunReport& last_run() const = 0;

  /// Counts from here on, or no longer; sums over several stretches. Caches stay as they are.
  virtual void measure(bool on) = 0;
  /// Sums over what was measured, and levels as they are now.
  virtual Counters counters() const = 0;
  virtual GuestStats guest_stats() const = 0;
  virtual CacheStats cache_stats() const = 0;  ///< zeros when caches are not modelled
  bool models_caches() const { return models_caches_; }

  const std::string& spec() const { return spec_; }
  virtual Backend& backend() = 0;
  /// One number for each frame of guest memory up to the last one that is not all zeros: a digest of what the guest
  /// reads there, so with its page tables and the accessed and dirty bits in them. The last is for what
  /// loads have seen (move_data).
  virtual std::vector<uint64_t> memory_digests() = 0;

 protected:
  explicit ReplayMachine(const MachineOptions& options)
      : spec_(options.backend), models_caches_(options.caches != "none") {}

 private:
  std::string spec_;
  bool models_caches_;
};

}  // namespace gnomon

#endif  // GNOMON_REPLAY_MACHINE_H_

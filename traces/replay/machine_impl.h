// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_REPLAY_MACHINE_IMPL_H_
#define TRACES_REPLAY_MACHINE_IMPL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/replay/machine.h"
#include "traces/replay/guest_log.h"
#include "traces/replay/machine_cpu.h"
#include "traces/replay/timeline_probe.h"

namespace gnomon {

/// What a replay pays for only if it was asked for: an index of the hot loop's versions.
using Features = unsigned;
inline constexpr Features kWithCaches = 1;
inline constexpr Features kWithExtras = 2;  ///< data, timeline, guest trace, whole guests: any of them

/// The machine, in four parts: machine.cc builds it and steps through records, machine_access.cc makes
/// the accesses, machine_guest.cc replays whole guests, machine_measure.cc counts.
class Machine final : public ReplayMachine {
 public:
  explicit Machine(const MachineOptions& options) : ReplayMachine(options), options_(options) {}

  absl::Status build();
  absl::Status run(uint32_t group, absl::Span<const TraceRecord> records,
                   absl::Span<const TraceEvent> events) override {
    return run_all(group, records, events, /*references=*/true);
  }
  absl::Status run_events(uint32_t group, absl::Span<const TraceRecord> records,
                          absl::Span<const TraceEvent> events) override {
    return run_all(group, records, events, /*references=*/false);
  }
  const RunReport& last_run() const override { return report_; }
  void measure(bool on) override;
  Counters counters() const override;
  GuestStats guest_stats() const override;
  CacheStats cache_stats() const override;
  Backend& backend() override { return *mmu_; }
  std::vector<uint64_t> memory_digests() override;

 private:
  class Streak;
  struct Stream {
    uint32_t process = 0;
    uint32_t thread = 0;
  };

  absl::Status run_all(uint32_t group, absl::Span<const TraceRecord> records,
                       absl::Span<const TraceEvent> events, bool references);
  absl::Status run_references(MachineCpu& cpu, absl::Span<const TraceRecord> records);
  template <Features kFeatures>
  absl::Status run_span(MachineCpu& cpu, absl::Span<const TraceRecord> records);
  template <Features kFeatures>
  absl::Status access(MachineCpu& cpu, const TraceRecord& record, Gva va, AccessOp op);
  void store_again(MachineCpu& cpu, const TraceRecord& record, Gva va, Gpa gpa, AccessOp op);
  absl::StatusOr<Translation> fault(MachineCpu& cpu, const TraceRecord& record, Gva va, Access how,
                                    Translation t);
  absl::Status stuck(Gva va, absl::string_view why) const;
  bool passed_over(const TraceRecord& record, const absl::Status& status);
  unsigned processor_of(uint32_t group) const;
  absl::Status schedule(uint32_t group, MachineCpu*& cpu);
  absl::Status handle(uint32_t group, const TraceEvent& event, MachineCpu*& cpu);
  absl::Status guest_event(MachineCpu& cpu, const TraceEvent& event);
  void move_data(MachineCpu& cpu, Gva va, AccessOp op, const Translation& t);
  void probe(MachineCpu& cpu, Gva va);
  Counters totals() const;
  CacheStats cache_totals() const;
  Counters cpu_counters(const MachineCpu& cpu) const;

  MachineOptions options_;
  std::unique_ptr<HostMemory> host_;
  std::unique_ptr<P2m> p2m_;
  std::unique_ptr<Backend> mmu_;
  std::unique_ptr<GuestLog> log_;
  std::unique_ptr<MachineMemory> memory_;
  std::vector<std::unique_ptr<MachineCpu>> cpus_;
  std::vector<TimelineProbe> probes_;  // by processor; empty: no timeline
  // What the backend counts of its own, given to the processor that was at work.
  Counters backend_seen_;
  std::vector<Counters> backend_shares_;
  std::unique_ptr<GuestKernel> kernel_;
  std::vector<Stream> streams_;  // by group
  Features features_ = 0;
  RunReport report_;
  uint64_t stores_ = 0;  // made so far: each leaves another number
  uint64_t loads_digest_ = 0;
  unsigned device_regions_ = 0;  // of a whole guest
  bool of_machine_ = false;      // the trace was recorded by a virtual machine: all its guest's accesses are in it

  bool measuring_ = false;
  Counters counted_, counters_before_;
  GuestStats guest_counted_, guest_before_;
  CacheStats caches_counted_, caches_before_;
};

}  // namespace gnomon

#endif  // TRACES_REPLAY_MACHINE_IMPL_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_REPLAY_MACHINE_H_
#define GNOMON_TRACES_REPLAY_MACHINE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gnomon/backend.h"
#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/traces/guest_kernel.h"
#include "gnomon/traces/record.h"
#include "gnomon/vcpu.h"

namespace gnomon {

struct ReplayOptions {
  /// As for create_backend: a name, with options after a colon.
  std::string backend = "native";
  /// Guest RAM, in whole 4K frames. Host memory is taken only where the guest touches its own. A
  /// machine that is too small ends the replay; one that is too large costs nothing.
  uint64_t memory_bytes = uint64_t{4} << 30;
  /// Largest host page behind guest RAM. Larger ones shorten nested walks, and take host memory in
  /// larger pieces.
  PageSize host_page = PageSize::k4K;
  /// TLBs and walk caches: a preset by name.
  std::string tlb = "zen4";
  /// Each slice of the recording runs in every process in turn, with a CR3 load before each.
  unsigned processes = 1;
  /// References in a slice; not used for one process.
  uint64_t slice = 100'000;
  /// Stores put numbers into guest memory and loads read them back (see data_checksum). Costs time.
  bool move_data = false;
};

/// One simulated machine with one vCPU and one MMU backend, whose guest is a GuestKernel and
/// processes that do what the recording says. Machines given the same references have the same
/// guest, whatever their backends: what differs is the cost.
class ReplayMachine {
 public:
  /// Errors: InvalidArgument (unknown backend or preset, bad option), ResourceExhausted (no memory
  /// for the guest).
  static absl::StatusOr<std::unique_ptr<ReplayMachine>> create(const ReplayOptions& options);
  ~ReplayMachine();

  /// Runs the references, which must be whole slices but for the last call. Errors:
  /// ResourceExhausted (the guest or the host ran out of memory), Internal (the backend answered
  /// what cannot be); each names the record. Then the machine cannot go on.
  absl::Status run(absl::Span<const Reference> references);

  /// Counts from here on (after warm-up); caches stay as they are.
  void start_measuring();
  /// Sums since start_measuring, and levels as they are now.
  Counters counters() const;
  GuestStats guest_stats() const;  ///< likewise; `tables` is how many there are now

  const std::string& spec() const { return spec_; }
  Backend& backend() const { return *mmu_; }
  P2m& p2m() const { return *p2m_; }
  /// Guest frames in use: those from 0 up to this one.
  uint64_t guest_frames() const { return kernel_->first_free_frame(); }
  /// With move_data: of everything that loads have seen so far.
  uint64_t data_checksum() const { return data_checksum_; }

 private:
  explicit ReplayMachine(const ReplayOptions& options);
  absl::Status build(const ReplayOptions& options);
  absl::Status boot();
  absl::Status run_slice(absl::Span<const Reference> references);
  template <bool kMoveData>
  absl::Status run_references(absl::Span<const Reference> references);
  absl::StatusOr<Translation> fault(const Reference& reference, Translation t);
  absl::Status stuck(const Reference& reference, absl::string_view why) const;
  void move_data(const Reference& reference, const Translation& t);
  Counters totals() const;

  std::string spec_;
  unsigned processes_;
  uint64_t slice_;
  bool move_data_;
  std::unique_ptr<HostMemory> host_;
  std::unique_ptr<P2m> p2m_;
  std::unique_ptr<Backend> mmu_;
  std::unique_ptr<Vcpu<Backend>> cpu_;
  std::unique_ptr<GuestKernel> kernel_;
  std::vector<Gpa> roots_;  // by process
  unsigned current_ = 0;    // process whose root is in CR3
  uint64_t data_checksum_ = 0;
  Counters counters_before_;
  GuestStats guest_before_;
};

/// The first difference between the guest memories of two machines that ran the same references,
/// with their page tables and the accessed and dirty bits in them; empty if there is none.
std::string compare_guests(const ReplayMachine& a, const ReplayMachine& b);

}  // namespace gnomon

#endif  // GNOMON_TRACES_REPLAY_MACHINE_H_

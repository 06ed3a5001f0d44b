// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_DIRECT_REVOKER_H_
#define MMU_DIRECT_REVOKER_H_

#include <cstdint>

#include "gnomon/memory/p2m.h"
#include "mmu/vcpu_set.h"

namespace gnomon::direct {

/// Flushes all TLBs and numbers the times between two flushes. A mapping that went away in the current
/// epoch may still be in a TLB; one that went away earlier cannot.
class Revoker {
 public:
  explicit Revoker(const P2m& p2m) : p2m_(p2m) {}

  void attach(VcpuState& cpu) { cpus_.attach(cpu); }
  void detach(VcpuState& cpu) { cpus_.detach(cpu); }

  /// Never 0. The VM's lock is held.
  uint64_t epoch() const { return epoch_; }

  /// When it returns, no vCPU is in a walk that began before, or uses a translation from before. The
  /// VM's lock is held.
  void revoke() {
    ++epoch_;
    ++counters_[Counter::kTlbFlushRequests];
    cpus_.flush_all(p2m_.lock().threaded());
  }

  const Counters& counters() const { return counters_; }

 private:
  const P2m& p2m_;
  VcpuSet cpus_;
  Counters counters_;
  uint64_t epoch_ = 1;
};

}  // namespace gnomon::direct

#endif  // MMU_DIRECT_REVOKER_H_

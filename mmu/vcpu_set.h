// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_VCPU_SET_H_
#define MMU_VCPU_SET_H_

#include <algorithm>
#include <thread>
#include <vector>

#include "gnomon/base/vm_lock.h"
#include "gnomon/base/vm_lock.h"
#include "gnomon/vcpu_state.h"

namespace gnomon {

/// The vCPUs attached to a backend, and the way to revoke what their TLBs may hold.
class VcpuSet {
 public:
  void attach(VcpuState& cpu) { cpus_.push_back(&cpu); }
  void detach(VcpuState& cpu) { std::erase(cpus_, &cpu); }
  const std::vector<VcpuState*>& all() const { return cpus_; }

  /// Returns when no vCPU can use a translation from before the call any more: each has flushed, or will
  /// before its next access. The caller holds the VM's lock and is itself outside the guest; a vCPU that
  /// waits for that lock is outside too, so nobody waits in a circle.
  void flush_all(bool threaded) {
    for (VcpuState* cpu : cpus_) cpu->gate.flush_request.store(true);
    if (!threaded) return;
    for (VcpuState* cpu : cpus_) {
      while (cpu->gate.in_guest.load() && cpu->gate.flush_request.load()) std::this_thread::yield();
    }
  }

 private:
  std::vector<VcpuState*> cpus_;
};

/// An exit: the vCPU leaves the guest, then takes the VM's lock; on the way back it enters the guest
/// before it lets the lock go, so that nobody can revoke what was looked up under the lock without waiting
/// for this vCPU's next access.
class VmExit {
 public:
  VmExit(VcpuState& cpu, VmLock& lock)
      : cpu_(cpu), lock_(lock), was_inside_(cpu.gate.in_guest.load(std::memory_order_relaxed)) {
    if (was_inside_) cpu_.gate.in_guest.store(false);
    lock_.lock();
  }
  ~VmExit() {
    if (was_inside_) cpu_.gate.in_guest.store(true);
    lock_.unlock();
  }
  VmExit(const VmExit&) = delete;
  VmExit& operator=(const VmExit&) = delete;

 private:
  VcpuState& cpu_;
  VmLock& lock_;
  bool was_inside_;
};

}  // namespace gnomon

#endif  // MMU_VCPU_SET_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_BASE_VM_LOCK_H_
#define GNOMON_BASE_VM_LOCK_H_

#include <mutex>

namespace gnomon {

/// The one lock of a virtual machine: it guards the p2m, the frame allocator and the structures of the
/// MMU backend (KVM calls its own mmu_lock). Hardware walks and TLB lookups run without it.
/// A machine driven by one thread leaves `threaded` off and pays a predictable branch.
class VmLock {
 public:
  void set_threaded(bool on) { threaded_ = on; }
  bool threaded() const { return threaded_; }

  void lock() {
    if (threaded_) mutex_.lock();
  }
  void unlock() {
    if (threaded_) mutex_.unlock();
  }

 private:
  std::mutex mutex_;
  bool threaded_ = false;
};

using VmGuard = std::lock_guard<VmLock>;

}  // namespace gnomon

#endif  // GNOMON_BASE_VM_LOCK_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_DIRECT_MACHINE_TO_PHYSICAL_H_
#define MMU_DIRECT_MACHINE_TO_PHYSICAL_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "gnomon/base/address.h"
#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/lazy_array.h"

namespace gnomon::direct {

/// Host frame -> guest frame, for the frames that table entries name: every table, and the first 4K frame
/// of every mapped page. Read without a lock; changed with the VM's lock held.
class MachineToPhysical {
 public:
  explicit MachineToPhysical(const HostMemory& host)
      : frames_((host.base().value() + host.bytes()) >> shift_of(PageSize::k4K)) {}

  bool complete() const { return frames_.size() != 0; }

  /// The guest address of the byte at `at`; nullopt if no entry names its frame.
  std::optional<Gpa> find(Hpa at) const {
    if (at.frame() >= frames_.size()) return std::nullopt;
    const uint64_t stored = frames_[at.frame()].load(std::memory_order_acquire);
    if (stored == 0) return std::nullopt;
    return Gpa::from_frame(stored - 1).with_offset(PageSize::k4K, at.value());
  }
  void set(Hpa frame, Gpa gpa) {
    std::atomic<uint64_t>& stored = frames_[frame.frame()];
    if (stored.load(std::memory_order_relaxed) == gpa.frame() + 1) return;
    stored.store(gpa.frame() + 1, std::memory_order_release);
  }
  void erase(Hpa frame) {
    std::atomic<uint64_t>& stored = frames_[frame.frame()];
    if (stored.load(std::memory_order_relaxed) != 0) stored.store(0, std::memory_order_release);
  }

 private:
  LazyArray<std::atomic<uint64_t>> frames_;  // guest frame number + 1
};

}  // namespace gnomon::direct

#endif  // MMU_DIRECT_MACHINE_TO_PHYSICAL_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VCPU_STATE_H_
#define GNOMON_VCPU_STATE_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "gnomon/base/counters.h"
#include "gnomon/cache/hierarchy.h"
#include "gnomon/x86/controls.h"
#include "gnomon/x86/rules.h"

namespace gnomon {

class WalkCaches;

/// One memory reference of a page walk, for explanations and golden orders.
struct WalkReference {
  enum class Dimension : uint8_t { kGuest, kHost, kShadow };
  Dimension dimension;
  uint8_t guest_level;  ///< guest level being read or translated; 0 = the data page
  uint8_t level;        ///< level of the entry read in its own dimension
  uint64_t address;     ///< Gpa for kGuest, Hpa otherwise
  uint64_t entry;       ///< as read
  friend bool operator==(const WalkReference&, const WalkReference&) = default;
};

/// Lets the VMM stop other vCPUs from using translations it is about to revoke, as KVM does with an
/// inter-processor interrupt. `in_guest` is true while the vCPU may use its TLB or walk tables without
/// the VM's lock; `flush_request` asks it to flush TLB and walk caches before its next access.
struct VcpuGate {
  std::atomic<bool> in_guest{false};
  std::atomic<bool> flush_request{false};
};

/// What a backend sees of a vCPU. `controls` and `rules` are always consistent with each other.
struct VcpuState {
  explicit VcpuState(uint32_t vcpu_id = 0, const CpuModel& model = {})
      : id(vcpu_id), cpu(model), rules(derive_rules(controls, model)) {}
  VcpuState(const VcpuState&) = delete;
  VcpuState& operator=(const VcpuState&) = delete;

  void update_rules() { rules = derive_rules(controls, cpu); }

  const uint32_t id;
  const CpuModel cpu;
  Controls controls;
  PagingRules rules;
  VcpuGate gate;
  Counters counters;
  WalkCaches* caches = nullptr;               ///< paging-structure caches; null: every walk is full
  std::vector<WalkReference>* log = nullptr;  ///< when set, every walk reference is appended
  /// The data caches that this processor's walks read through; null: not modelled. Each reference that
  /// is counted in walk_guest_*, walk_host_* or walk_shadow_* also goes there, so that the sum of
  /// stats.guest is that of walk_guest_*, and so on. Not shared between vCPUs that run at the same time.
  CacheHierarchy* memory = nullptr;

  /// Does anybody want to know each walk reference? Asked once a walk.
  bool observed() const { return log != nullptr || memory != nullptr; }
};

/// Tells those who want to know of one reference: `what` for the log, the host-physical address of the
/// entry and the statistics of its dimension for the caches.
void note_reference(VcpuState& cpu, const WalkReference& what, Hpa at);

}  // namespace gnomon

#endif  // GNOMON_VCPU_STATE_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_CPU_OBSERVER_H_
#define VMM_CPU_OBSERVER_H_

#include <cstdint>

#include "gnomon/base/address.h"
#include "gnomon/x86/access.h"

namespace gnomon::vmm {

/// Is told of all that a processor does to memory and to its translation (a recorder). Accesses are
/// told one by one in exact mode only.
class MemoryObserver {
 public:
  virtual ~MemoryObserver() = default;
  /// Before a Vcpu::access of `bytes` in one page. `value`: what a store will put there if it
  /// succeeds; null for loads and fetches, and for an access that only asks whether a store would
  /// succeed.
  virtual void before_access(Gva va, unsigned bytes, Access access, const uint64_t* value) = 0;
  // After what the processor has done with these values.
  virtual void cr3_written(uint64_t value) = 0;
  virtual void controls_written(uint64_t cr0, uint64_t cr4, uint64_t efer) = 0;
  virtual void invlpg_done(Gva va) = 0;
  /// A store that the VMM made for the guest, by guest-physical address.
  virtual void physical_written(Gpa at, uint64_t value, unsigned size) = 0;
  virtual void invpcid_done(unsigned type, uint16_t pcid, Gva va) = 0;
};

}  // namespace gnomon::vmm

#endif  // VMM_CPU_OBSERVER_H_

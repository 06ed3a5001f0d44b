// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_GUEST_CPU_H_
#define GNOMON_GUEST_CPU_H_

#include <cstdint>

#include "gnomon/backend.h"
#include "gnomon/base/address.h"
#include "gnomon/base/outcome.h"
#include "gnomon/x86/access.h"

namespace gnomon {

/// What the model of a guest kernel does on a virtual processor. Every call is what a real kernel's
/// instruction would be, and reaches the MMU backend as such.
class GuestCpu {
 public:
  virtual ~GuestCpu() = default;
  virtual unsigned id() const = 0;
  /// One 8-byte load or store of the kernel to guest-physical memory through its own mapping: a page
  /// table entry. False: no memory there, or the backend refused.
  virtual bool load_entry(Gpa at, uint64_t& entry) = 0;
  virtual bool store_entry(Gpa at, uint64_t entry) = 0;
  /// MOV to CR3 (bit 63: keep cached translations of this PCID). False: #GP.
  virtual bool load_cr3(uint64_t value) = 0;
  virtual bool load_controls(uint64_t cr0, uint64_t cr4, uint64_t efer) = 0;
  virtual void invlpg(Gva va) = 0;
  virtual bool invpcid(InvpcidType type, uint16_t pcid, Gva va) = 0;
  /// One access of the kernel's own code by virtual address, in the address space that is loaded.
  virtual Translation access(Gva va, Access access) = 0;
  /// Contents of pages, moved only when a replay carries data; no page-table effect.
  virtual void copy_page(Gpa from, Gpa to) = 0;
  virtual void clear_page(Gpa page) = 0;
};

}  // namespace gnomon

#endif  // GNOMON_GUEST_CPU_H_

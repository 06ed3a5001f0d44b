// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_VMM_GUEST_MEMORY_H_
#define GNOMON_VMM_GUEST_MEMORY_H_

#include <cstdint>

#include "absl/types/span.h"
#include "gnomon/base/address.h"
#include "gnomon/memory/p2m.h"

namespace gnomon::vmm {

/// Guest-physical memory as a loader, a debugger or a device sees it: RAM only, frames backed as
/// they are touched. What is written here is not told to backends; after processors have run, go
/// through Machine::write_memory.
class GuestMemory {
 public:
  explicit GuestMemory(P2m& p2m) : p2m_(p2m) {}

  /// False: some byte is not in RAM (or the host has no frame for it). What lies before it was
  /// copied.
  bool read(Gpa from, absl::Span<uint8_t> to) const;
  bool write(Gpa to, absl::Span<const uint8_t> from);
  /// Fills with one byte.
  bool fill(Gpa to, uint64_t bytes, uint8_t value);

  template <class T>
  bool put(Gpa to, const T& value) {
    return write(to, absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(&value), sizeof value));
  }
  template <class T>
  bool get(Gpa from, T& value) const {
    return read(from, absl::MakeSpan(reinterpret_cast<uint8_t*>(&value), sizeof value));
  }

 private:
  P2m& p2m_;
};

}  // namespace gnomon::vmm

#endif  // GNOMON_VMM_GUEST_MEMORY_H_

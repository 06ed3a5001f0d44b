// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_MONITOR_GUEST_VIEW_H_
#define VMM_MONITOR_GUEST_VIEW_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "gnomon/vmm/machine.h"
#include "gnomon/x86/guest_walk.h"

namespace gnomon::vmm {

/// Memory as one processor sees it, looked at from outside: whatever the rights of pages, and
/// without a trace. Frames that have no host frame yet are zeros and stay without one; devices are
/// not read.
class GuestView {
 public:
  GuestView(Machine& machine, unsigned cpu) : machine_(machine), cpu_(cpu) {}

  const Controls& controls() const;
  /// As those of the processor, but that each access is permitted.
  PagingRules rules() const;
  /// Of CS:RIP.
  uint64_t linear_pc() const;

  /// All of it, or false: some of it is not RAM.
  bool read_physical(Gpa from, absl::Span<uint8_t> to) const;
  /// The walk of the guest's own tables. WalkStatus::kNoMemory: a table is not in RAM.
  Walk<Gpa> walk(uint64_t linear) const;
  std::optional<Gpa> find(uint64_t linear) const;
  /// How many bytes could be read, or written, before the first that is not there.
  size_t read(uint64_t linear, absl::Span<uint8_t> to) const;
  size_t write(uint64_t linear, absl::Span<const uint8_t> from) const;

 private:
  template <class F>
  size_t by_pages(uint64_t linear, size_t bytes, F&& f) const;

  Machine& machine_;
  unsigned cpu_;
};

}  // namespace gnomon::vmm

#endif  // VMM_MONITOR_GUEST_VIEW_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_GUEST_KERNEL_H_
#define GNOMON_GUEST_KERNEL_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gnomon/base/address.h"
#include "gnomon/guest/cpu.h"
#include "gnomon/guest/options.h"
#include "gnomon/guest/stats.h"
#include "gnomon/traces/event.h"

namespace gnomon {

/// A process of the guest. A trace numbers its processes from 0; `group` tells apart those of different
/// traces, or of different copies of one.
struct ProcessKey {
  uint32_t group = 0;
  uint32_t process = 0;
  friend bool operator==(const ProcessKey&, const ProcessKey&) = default;
};

/// The memory management of a 64-bit guest kernel: address spaces, demand paging, copy-on-write, page
/// cache, huge pages. It keeps real 4-level tables in guest memory and touches them by loads and stores
/// of the guest, loads CR3 and invalidates as a kernel must, on whichever of its processors runs.
/// Nothing here knows which backend is below. docs/guest-model.md
class GuestKernel {
 public:
  /// `cpus` must outlive the kernel. Boots: builds the kernel's own tables and enters long mode on every
  /// processor. ResourceExhausted: no guest memory. Internal: the backend refused.
  static absl::StatusOr<std::unique_ptr<GuestKernel>> boot(absl::Span<GuestCpu* const> cpus,
                                                           const GuestOptions& options);
  virtual ~GuestKernel() = default;

  /// The process (made with an empty address space when new) runs on this processor from now on: a
  /// context switch with its CR3 load, when it is not what runs there already.
  virtual absl::Status run(unsigned cpu, ProcessKey process) = 0;
  /// The event happens in the process that runs on `cpu`. Kinds that are not the kernel's business
  /// (kSwitch, kMark, guest kinds) are InvalidArgument. Errors: ResourceExhausted (guest memory,
  /// processes, mappings); InvalidArgument: what cannot be (lengths that wrap, addresses that are not
  /// canonical user addresses, a fork of a process that exists).
  virtual absl::Status handle(unsigned cpu, const TraceEvent& event) = 0;
  /// The page-fault handler, after `fault` ended an access of the process on `cpu`. OK: try again.
  /// Addresses in no mapping get one of their own (traces without mapping events). PermissionDenied:
  /// the mapping forbids it (a SIGSEGV; the replay goes on after `grant`). ResourceExhausted: memory.
  /// Internal: the tables already permit the access, so whoever reported the fault is wrong.
  virtual absl::Status fault(unsigned cpu, Gva va, AccessOp op, const Translation& fault) = 0;
  /// Widens the mapping so that the access is permitted: traces whose mapping records are incomplete.
  virtual absl::Status grant(unsigned cpu, Gva va, AccessOp op) = 0;
  /// A timer tick or device interrupt on `cpu`.
  virtual void interrupt(unsigned cpu) = 0;

  virtual const GuestStats& stats() const = 0;
  /// Guest-physical frames in use lie below this one.
  virtual uint64_t frames_end() const = 0;
  virtual uint64_t frames_in_use() const = 0;
};

}  // namespace gnomon

#endif  // GNOMON_GUEST_KERNEL_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_GUEST_KERNEL_H_
#define GNOMON_TRACES_GUEST_KERNEL_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "gnomon/backend.h"
#include "gnomon/base/address.h"
#include "gnomon/vcpu_state.h"
#include "gnomon/x86/access.h"

namespace gnomon {

/// What the guest's memory management has done. Every store below is one 8-byte store of the guest
/// to its own memory, and so is in the counter `table_writes` too.
struct GuestStats {
  uint64_t pages_mapped = 0;     ///< page faults answered with a new page
  uint64_t rights_added = 0;     ///< page faults answered with more rights for a mapped page
  uint64_t tables = 0;           ///< page-table pages, roots included
  uint64_t entry_stores = 0;     ///< stores that set an entry
  uint64_t clearing_stores = 0;  ///< stores that cleared new table pages, 512 each
};

/// The memory management of a minimal 64-bit guest kernel: demand paging into 4-level tables that
/// it keeps in guest memory. It touches them as a kernel does, by loads and stores of the guest, so
/// that every backend sees each one.
///
/// A page that is not present gets a frame of zeros (taken as already zero, as from a kernel's pool
/// of cleared pages). First touched by a fetch it may be executed and read, else read and written.
/// A later access of the other sort adds what it needs. Nothing is ever unmapped, so no INVLPG is
/// needed: a processor drops a cached translation that made an access fault (SDM vol. 3, 4.10.4.1).
class GuestKernel {
 public:
  enum class Result : uint8_t {
    kDone,         ///< as asked; after a fault the access may be tried again
    kOutOfMemory,  ///< every guest frame is in use; the tables are unchanged or have empty new ones
    kStoreFailed,  ///< the backend did not carry out a table access
    kUnexplained,  ///< the tables already permit the access: whoever reported the fault is wrong
  };

  /// Guest RAM is [0, memory_bytes). Frame 0 is never used, so that an entry of zeros names no
  /// page.
  GuestKernel(Backend& mmu, VcpuState& cpu, uint64_t memory_bytes)
      : mmu_(mmu), cpu_(cpu), frames_(memory_bytes >> shift_of(PageSize::k4K)) {}

  /// Makes an empty address space, to be loaded into CR3.
  Result new_address_space(Gpa& root) { return new_table(root); }
  /// The page-fault handler, for an access of the program in the address space of `root`.
  Result handle_fault(Gpa root, Gva va, AccessOp op);

  const GuestStats& stats() const { return stats_; }
  /// Guest frames handed out so far are those below this one.
  uint64_t first_free_frame() const { return next_frame_; }

 private:
  static constexpr unsigned kEntryBytes = 8;

  std::optional<Gpa> new_frame();
  Result new_table(Gpa& table);
  bool load_entry(Gpa at, uint64_t& entry);
  bool store_entry(Gpa at, uint64_t entry);

  Backend& mmu_;
  VcpuState& cpu_;
  uint64_t frames_;
  uint64_t next_frame_ = 1;
  GuestStats stats_;
};

absl::string_view name_of(GuestKernel::Result result);

}  // namespace gnomon

#endif  // GNOMON_TRACES_GUEST_KERNEL_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GUEST_PAGE_TABLE_H_
#define TRACES_GUEST_PAGE_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "gnomon/guest/cpu.h"
#include "gnomon/guest/stats.h"
#include "traces/guest/entries.h"
#include "traces/guest/frames.h"

namespace gnomon::guest {

class KernelMap;

/// Where a walk ended: at level 1, at a huge page, or at the first entry that is empty.
struct Slot {
  Gpa at;
  uint64_t entry = 0;
  unsigned level = 0;
};

constexpr Gpa entry_at(Gpa table, unsigned index) { return Gpa(table.value() + index * 8); }
constexpr Gpa entry_for(Gpa table, uint64_t va, unsigned level) {
  return entry_at(table, Long4::index(Gva(va), level));
}
constexpr Gpa child_of(uint64_t entry) { return Gpa(entry & pte::kFrameMask); }
constexpr Gpa page_at(uint64_t frame) { return Gpa(frame << kPageShift); }

/// Loads and stores of table entries. What a backend refuses, or answers against all reason, is
/// kept as a failure that every later operation of the kernel reports: its tables can no longer be
/// relied on.
class PageTables {
 public:
  PageTables(Frames& frames, GuestStats& stats) : frames_(frames), stats_(stats) {}

  uint64_t load(GuestCpu& cpu, Gpa at);
  void store(GuestCpu& cpu, Gpa at, uint64_t entry);
  /// A cleared table of a process. nullopt: no frame is free.
  std::optional<Gpa> new_table(GuestCpu& cpu);
  /// A table filled with `first`, `first` + `step`, …: the parts of a huge page.
  std::optional<Gpa> new_filled_table(GuestCpu& cpu, uint64_t first, uint64_t step);
  /// A cleared table without an entry in the kernel's map of memory.
  std::optional<Gpa> new_kernel_table(GuestCpu& cpu);
  void free_table(Gpa table);

  /// The kernel follows a pointer to this entry through its map of memory (kernel_entries).
  void visit(GuestCpu& cpu, Gpa at);
  /// One access of kernel code or data (kernel_entries); it must succeed.
  void access(GuestCpu& cpu, Gva va, Access how);

  /// Ends at `last` at the latest.
  Slot walk(GuestCpu& cpu, Gpa root, uint64_t va, unsigned last = 1);
  /// Makes the tables that are missing from where a walk ended down to `level`, and goes there.
  /// nullopt: no frame is free; tables made so far stay, and are empty.
  std::optional<Slot> extend(GuestCpu& cpu, Slot slot, uint64_t va, unsigned level);

  /// Kernel accesses go through this map from now on.
  void use_kernel_map(KernelMap* map) { map_ = map; }
  void fail(std::string why);
  const absl::Status& failure() const { return failure_; }

 private:
  std::optional<Gpa> take_covered(GuestCpu& cpu);
  void clear(GuestCpu& cpu, Gpa table);
  bool in_memory(uint64_t entry) const { return frame_of(entry) < frames_.total(); }

  Frames& frames_;
  GuestStats& stats_;
  KernelMap* map_ = nullptr;
  absl::Status failure_;
};

}  // namespace gnomon::guest

#endif  // TRACES_GUEST_PAGE_TABLE_H_

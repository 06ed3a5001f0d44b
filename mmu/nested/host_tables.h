// SPDX-License-Identifier: Apache-2.0
#ifndef MMU_NESTED_HOST_TABLES_H_
#define MMU_NESTED_HOST_TABLES_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "gnomon/backend.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/x86/access.h"
#include "gnomon/x86/rules.h"
#include "mmu/nested/flavours.h"

// Rules of the room:
//  1. Entries change under the VM's lock; processors read them, and set accessed and dirty flags in them,
//     at any time without it. So every change is one atomic store to one entry.
//  2. A table is linked only when its contents are ready. A table that was unlinked keeps its frame until
//     no processor can be walking it: callers give it back after VcpuSet::flush_all.
//  3. A leaf says what the p2m says, or less: leaves are made from it under the lock, and before_p2m_change
//     takes them away. An entry in the way of a change is dropped, never rewritten to another frame.
//  4. Large leaves are never made where a frame is dirty-logged, and one that would have to lose write
//     permission in part is dropped whole.

namespace gnomon {

/// The tree of nested tables, GPA -> HPA, in host frames with owner kNestedTable.
template <class Flavour>
class HostTables {
 public:
  using Format = typename Flavour::Format;
  using Unlinked = std::vector<Hpa>;

  explicit HostTables(HostMemory& host) : host_(host) {}
  ~HostTables();
  HostTables(const HostTables&) = delete;
  HostTables& operator=(const HostTables&) = delete;

  /// Can `gpa` have an entry at all?
  static bool reaches(Gpa gpa) { return gpa.value() >> Format::kAddressBits == 0; }
  /// The root table; Hpa() while nothing is mapped.
  Hpa root() const { return Hpa(root_.load(std::memory_order_acquire)); }
  uint64_t bytes() const { return tables_ * bytes_of(PageSize::k4K); }

  /// Maps the frame at `gpa`, which the p2m says is `e` (RAM), with the largest page up to `largest` that
  /// the host page, the dirty log and what is mapped around allow. nullopt: the host has no frame left for a table.
  std::optional<PageSize> map(const P2m& p2m, Gpa gpa, P2mEntry e, PageSize largest);

  /// Takes away what is mapped in the range, or (`only_writing`) the permission to write to it.
  void revoke(Gpa first, uint64_t frames, bool only_writing, Unlinked& unlinked);
  void release(const Unlinked& unlinked);

  /// Calls f(Gpa first, PageSize size, bool writable) for each leaf.
  template <class F>
  void for_each_leaf(F&& f) const {
    if (root() != Hpa()) for_each_leaf_in(root(), Format::kLevels, 0, f);
  }

  void audit(const P2m& p2m, PageSize largest, std::vector<AuditFinding>& findings) const;

 private:
  struct Range {
    uint64_t first, end;  // frames
  };
  struct Audit;

  template <class F>
  void for_each_leaf_in(Hpa table, unsigned level, uint64_t base, F& f) const {
    for (unsigned i = 0; i < kEntries; ++i) {
      const uint64_t e = entry(table, i).load(std::memory_order_relaxed);
      if (!Format::present(e)) continue;
      const uint64_t first = base + i * frames_at(level);
      if (is_leaf(e, level)) {
        f(Gpa::from_frame(first), Format::leaf_size(level), (e & Flavour::kWriteBit) != 0);
      } else {
        for_each_leaf_in(Hpa(Format::table_base(e)), level - 1, first, f);
      }
    }
  }

  static constexpr unsigned kEntries = 512;
  static constexpr uint64_t frames_at(unsigned level) { return uint64_t{1} << (9 * (level - 1)); }

  std::atomic_ref<uint64_t> entry(Hpa table, unsigned i) const {
    return std::atomic_ref<uint64_t>(host_.at<uint64_t>(table)[i]);
  }
  static bool is_leaf(uint64_t e, unsigned level) { return Format::leaf(e, level, Flavour::kRules); }
  Hpa new_table();
  void unlink(Hpa table, unsigned level, Unlinked& unlinked);
  void revoke_in(Hpa table, unsigned level, uint64_t base, Range range, bool only_writing,
                 Unlinked& unlinked);
  void audit_table(Audit& audit, Hpa table, unsigned level, uint64_t base) const;
  void audit_leaf(Audit& audit, uint64_t e, unsigned level, uint64_t base) const;

  HostMemory& host_;
  std::atomic<uint64_t> root_{0};
  uint64_t tables_ = 0;  // linked, the root included
};

}  // namespace gnomon

#endif  // MMU_NESTED_HOST_TABLES_H_

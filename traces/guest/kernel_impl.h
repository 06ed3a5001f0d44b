// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_GUEST_KERNEL_IMPL_H_
#define TRACES_GUEST_KERNEL_IMPL_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gnomon/guest/kernel.h"
#include "traces/guest/kernel_entries.h"
#include "traces/guest/kernel_map.h"
#include "traces/guest/page_cache.h"
#include "traces/guest/processors.h"

namespace gnomon::guest {

struct HashKey {
  size_t operator()(const ProcessKey& k) const {
    return absl::Hash<uint64_t>()(uint64_t{k.group} << 32 | k.process);
  }
};

/// Addresses [start, end), in whole pages.
struct Range {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t bytes() const { return end - start; }
};

/// The kernel. Its parts lie in one file each: events (kernel.cc), processes (process.cc, fork.cc),
/// changes of mappings (mapping.cc, remap.cc), what they do to tables (zap.cc, protect.cc), faults
/// (fault.cc, fill.cc, copy_on_write.cc).
///
/// An operation that fails for lack of memory leaves mappings and tables in agreement: no entry
/// without a mapping, no rights beyond the mapping's, no page without an owner.
class Kernel final : public GuestKernel {
 public:
  Kernel(absl::Span<GuestCpu* const> cpus, const GuestOptions& options);
  absl::Status boot();

  absl::Status run(unsigned cpu, ProcessKey process) override;
  absl::Status handle(unsigned cpu, const TraceEvent& event) override;
  absl::Status fault(unsigned cpu, Gva va, AccessOp op, const Translation& fault) override;
  absl::Status grant(unsigned cpu, Gva va, AccessOp op) override;
  void interrupt(unsigned cpu) override;
  const GuestStats& stats() const override;
  uint64_t frames_end() const override { return frames_.end(); }
  uint64_t frames_in_use() const override { return frames_.in_use(); }

 private:
  // Events (kernel.cc).
  absl::StatusOr<Mm*> current(unsigned cpu);
  absl::Status do_event(Processor& p, Mm& mm, const TraceEvent& event);
  void enter(Processor& p, EntryCause cause, uint64_t detail = 0);
  absl::Status kernel_access(Processor& p, Mm& mm, const TraceEvent& event);
  absl::Status out_of_memory() const;

  // Processes (process.cc, fork.cc).
  absl::StatusOr<std::unique_ptr<Mm>> new_mm(GuestCpu& cpu, ProcessKey key);
  absl::Status exec(Processor& p, Mm& mm);
  absl::Status exit(Processor& p, Mm& mm);
  void destroy(Processor& p, Mm& mm);
  absl::Status fork(Processor& p, Mm& mm, uint64_t child);
  bool copy_level(GuestCpu& cpu, Gpa from, Gpa to, unsigned level, Range range);

  // Mappings (mapping.cc, remap.cc).
  absl::StatusOr<Range> range_of(uint64_t address, uint64_t length) const;
  absl::Status room(const Mm& mm, Range range, uint64_t added) const;  // for more mappings
  absl::Status map(Processor& p, Mm& mm, const TraceEvent& event);
  absl::Status unmap(Processor& p, Mm& mm, Range range);
  absl::Status protect(Processor& p, Mm& mm, Range range, MapFlags flags);
  absl::Status set_break(Processor& p, Mm& mm, const TraceEvent& event);
  absl::Status advise(Processor& p, Mm& mm, const TraceEvent& event);
  absl::Status populate(Processor& p, Mm& mm, Range range);
  absl::Status remap(Processor& p, Mm& mm, const TraceEvent& event);
  absl::Status move_mapping(Processor& p, Mm& mm, Range from, Range to);
  bool move_entries(Processor& p, Mm& mm, Range from, uint64_t to, uint64_t& moved);
  void object_used(uint64_t object, int change);

  // Tables (zap.cc, protect.cc).
  void zap(GuestCpu& cpu, Mm& mm, Range range, FlushRange& flush, bool store = true);
  static constexpr uint64_t span_of(unsigned level) { return uint64_t{1} << Long4::shift(level); }
  /// Calls f(where, entry, level, address) for each page in the range, in order; empty subtrees cost one load.
  template <class F>
  void for_each_page(GuestCpu& cpu, Gpa table, unsigned level, Range range, const F& f) {
    const uint64_t span = span_of(level);
    tables_.visit(cpu, entry_for(table, range.start, level));
    uint64_t next = 0;
    for (uint64_t va = range.start; va < range.end; va = next) {
      next = std::min(range.end, (va & ~(span - 1)) + span);
      const Gpa at = entry_for(table, va, level);
      const uint64_t entry = tables_.load(cpu, at);
      if (entry == 0) continue;
      if (level > 1 && !is_huge(entry)) {
        for_each_page(cpu, child_of(entry), level - 1, {va, next}, f);
      } else {
        f(at, entry, level, va);
      }
    }
  }
  void free_tables(GuestCpu& cpu, Mm& mm, Range range, FlushRange& flush, bool store = true);
  void free_level(GuestCpu& cpu, Gpa table, unsigned level, Range range, Range gap, bool store,
                  FlushRange& flush);
  void drop_page(uint64_t entry, unsigned level);
  void protect_pages(GuestCpu& cpu, Mm& mm, Range range, const Vma& vma, FlushRange& flush);
  bool split_edges(Processor& p, Mm& mm, Range range);
  bool split_huge(Processor& p, Mm& mm, const Slot& slot, uint64_t va);

  // Faults (fault.cc, fill.cc, copy_on_write.cc).
  absl::StatusOr<Vma*> mapping_for(Mm& mm, uint64_t va, AccessOp op);
  absl::StatusOr<Vma*> implicit_mapping(Mm& mm, uint64_t va, AccessOp op);
  absl::Status grant_in(Processor& p, Mm& mm, uint64_t va, AccessOp op);
  absl::StatusOr<Vma*> widen(Processor& p, Mm& mm, Vma& vma, uint64_t va, AccessOp op);
  absl::Status resolve(Processor& p, Mm& mm, uint64_t va, AccessOp op);
  absl::Status upgrade(Processor& p, Mm& mm, Vma& vma, const Slot& slot, uint64_t va, AccessOp op);
  absl::Status copy_on_write(Processor& p, Mm& mm, Vma& vma, Slot slot, uint64_t va);
  absl::Status fill(Processor& p, Vma& vma, Slot slot, uint64_t va, AccessOp op);
  absl::Status fill_anonymous(Processor& p, Vma& vma, const Slot& slot, AccessOp op);
  absl::Status fill_from_object(Processor& p, Vma& vma, const Slot& slot, uint64_t va, AccessOp op);
  bool wants_huge(const Vma& vma, uint64_t va) const;
  bool fill_huge(Processor& p, Vma& vma, const Slot& slot);
  void map_around(GuestCpu& cpu, const Vma& vma, const Slot& slot, uint64_t va);
  std::optional<uint64_t> cached_page(GuestCpu& cpu, const Vma& vma, uint64_t va);
  std::optional<uint64_t> cleared_page(GuestCpu& cpu);
  uint64_t own_page_entry(uint64_t frame, const Vma& vma, bool written) const;

  GuestOptions options_;
  mutable GuestStats stats_;
  Frames frames_;
  PageTables tables_;
  KernelMap kernel_map_;
  Processors processors_;
  PageCache cache_;
  const ObjectUse object_use_;
  uint64_t zero_frame_ = 0;
  uint64_t contexts_ = 0;
  uint64_t mappings_ = 0;
  absl::flat_hash_map<ProcessKey, std::unique_ptr<Mm>, HashKey> processes_;
};

}  // namespace gnomon::guest

#endif  // TRACES_GUEST_KERNEL_IMPL_H_

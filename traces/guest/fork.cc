// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_format.h"
#include "traces/guest/kernel_impl.h"

namespace gnomon::guest {

/// As Linux's copy_page_range: entries of private mappings that had pages of their own are copied,
/// and both sides lose the right to write; all others are left for the child to fault on.
absl::Status Kernel::fork(Processor& p, Mm& mm, uint64_t child) {
  if (child > ~uint32_t{0}) {
    return absl::InvalidArgumentError(absl::StrFormat("process %d: no such number", child));
  }
  const ProcessKey key{mm.key.group, static_cast<uint32_t>(child)};
  if (processes_.contains(key)) {
    return absl::InvalidArgumentError(absl::StrFormat("process %d exists already", child));
  }
  if (processes_.size() >= options_.max_processes) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("%d processes are alive already", processes_.size()));
  }
  if (mm.vmas.map().size() + mappings_ > options_.max_mappings) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("more than %d mappings", options_.max_mappings));
  }
  absl::StatusOr<std::unique_ptr<Mm>> made = new_mm(*p.cpu, key);
  if (!made.ok()) return made.status();
  Mm& copy = **made;
  mm.vmas.copy_to(copy.vmas);
  copy.heap_start = mm.heap_start;
  copy.heap_end = mm.heap_end;
  bool done = true;
  for (const auto& [start, vma] : mm.vmas.map()) {
    if (vma.shared() || !vma.own_pages) continue;
    done = copy_level(*p.cpu, mm.root, copy.root, kRootLevel, {vma.start, vma.end});
    if (!done) break;
  }
  processors_.flush_all(p, mm);
  if (!done) {
    destroy(p, copy);
    return out_of_memory();
  }
  ++stats_[GuestStat::kForks];
  processes_.emplace(key, *std::move(made));
  return absl::OkStatus();
}

bool Kernel::copy_level(GuestCpu& cpu, Gpa from, Gpa to, unsigned level, Range range) {
  const uint64_t span = uint64_t{1} << Long4::shift(level);
  tables_.visit(cpu, entry_for(from, range.start, level));
  uint64_t next = 0;
  for (uint64_t va = range.start; va < range.end; va = next) {
    next = std::min(range.end, (va & ~(span - 1)) + span);
    const Gpa at = entry_for(from, va, level);
    const uint64_t entry = tables_.load(cpu, at);
    if (entry == 0) continue;
    const Gpa copy_at = entry_for(to, va, level);
    if (level > 1 && !is_huge(entry)) {
      uint64_t table = tables_.load(cpu, copy_at);
      if (table == 0) {
        const std::optional<Gpa> made = tables_.new_table(cpu);
        if (!made) return false;
        table = made->value() | kTableBits;
        tables_.store(cpu, copy_at, table);
      }
      if (!copy_level(cpu, child_of(entry), child_of(table), level - 1, {va, next})) return false;
      continue;
    }
    const uint64_t shared = entry & ~pte::kWritable;
    if (shared != entry) tables_.store(cpu, at, shared);
    tables_.store(cpu, copy_at, shared & ~pte::kAccessed);
    if (level == 2) {
      frames_.add_block_owner(frame_of(entry));
    } else if (frame_of(entry) != zero_frame_) {
      frames_.add_owner(frame_of(entry));
    }
  }
  return true;
}

}  // namespace gnomon::guest

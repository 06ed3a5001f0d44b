// SPDX-License-Identifier: Apache-2.0
#include "traces/guest/page_table.h"

#include "absl/strings/str_cat.h"
#include "traces/guest/kernel_map.h"

namespace gnomon::guest {

void PageTables::fail(std::string why) {
  if (failure_.ok()) failure_ = absl::InternalError(why);
}

uint64_t PageTables::load(GuestCpu& cpu, Gpa at) {
  uint64_t entry = 0;
  if (!cpu.load_entry(at, entry)) [[unlikely]] {
    fail(absl::StrCat("the backend refused to load the table entry at ", to_string(at)));
    return 0;
  }
  if (!in_memory(entry)) [[unlikely]] {
    fail(absl::StrFormat("the table entry at %s reads as 0x%x, which was never stored",
                         to_string(at), entry));
    return 0;
  }
  return entry;
}

void PageTables::store(GuestCpu& cpu, Gpa at, uint64_t entry) {
  ++stats_[GuestStat::kEntryStores];
  if (!cpu.store_entry(at, entry)) [[unlikely]] {
    fail(absl::StrFormat("the backend refused to store the table entry 0x%x at %s", entry, to_string(at)));
  }
}

void PageTables::clear(GuestCpu& cpu, Gpa table) {
  stats_[GuestStat::kClearingStores] += kEntriesPerTable;
  bool stored = true;
  for (unsigned i = 0; i < kEntriesPerTable; ++i) stored &= cpu.store_entry(entry_at(table, i), 0);
  if (!stored) fail(absl::StrCat("the backend refused to clear the table at ", to_string(table)));
}

std::optional<Gpa> PageTables::new_kernel_table(GuestCpu& cpu) {
  const std::optional<uint64_t> frame = frames_.take();
  if (!frame) return std::nullopt;
  ++stats_[GuestStat::kTables];
  clear(cpu, page_at(*frame));
  return page_at(*frame);
}

std::optional<Gpa> PageTables::take_covered(GuestCpu& cpu) {
  const std::optional<uint64_t> frame = frames_.take();
  if (!frame) return std::nullopt;
  if (map_ != nullptr && !map_->cover(cpu, page_at(*frame))) {
    frames_.drop_owner(*frame);
    return std::nullopt;
  }
  ++stats_[GuestStat::kTables];
  return page_at(*frame);
}

std::optional<Gpa> PageTables::new_table(GuestCpu& cpu) {
  const std::optional<Gpa> table = take_covered(cpu);
  if (table) clear(cpu, *table);
  return table;
}

std::optional<Gpa> PageTables::new_filled_table(GuestCpu& cpu, uint64_t first, uint64_t step) {
  const std::optional<Gpa> table = take_covered(cpu);
  if (!table) return std::nullopt;
  for (unsigned i = 0; i < kEntriesPerTable; ++i) store(cpu, entry_at(*table, i), first + i * step);
  return table;
}

void PageTables::free_table(Gpa table) {
  ++stats_[GuestStat::kTablesFreed];
  frames_.drop_owner(table.frame());
}

void PageTables::access(GuestCpu& cpu, Gva va, Access how) {
  ++stats_[GuestStat::kKernelAccesses];
  const Translation t = cpu.access(va, how);
  if (!t.ok()) [[unlikely]] {
    fail(absl::StrCat("the kernel's own access to ", to_string(va), " failed: ", to_string(t)));
  }
}

void PageTables::visit(GuestCpu& cpu, Gpa at) {
  if (map_ != nullptr)
    access(cpu, KernelMap::direct(at), {AccessOp::kRead, Privilege::kSupervisor});
}

Slot PageTables::walk(GuestCpu& cpu, Gpa root, uint64_t va, unsigned last) {
  Slot slot{entry_for(root, va, kRootLevel), 0, kRootLevel};
  for (;;) {
    visit(cpu, slot.at);
    slot.entry = load(cpu, slot.at);
    if (slot.level == last || slot.entry == 0 || is_huge(slot.entry)) return slot;
    --slot.level;
    slot.at = entry_for(child_of(slot.entry), va, slot.level);
  }
}

std::optional<Slot> PageTables::extend(GuestCpu& cpu, Slot slot, uint64_t va, unsigned level) {
  while (slot.level > level) {
    const std::optional<Gpa> table = new_table(cpu);
    if (!table) return std::nullopt;
    store(cpu, slot.at, table->value() | kTableBits);
    --slot.level;
    slot.at = entry_for(*table, va, slot.level);
    slot.entry = 0;
    visit(cpu, slot.at);
  }
  return slot;
}

}  // namespace gnomon::guest

// SPDX-License-Identifier: Apache-2.0
#include "gnomon/traces/guest_kernel.h"

#include "gnomon/x86/format_long.h"

namespace gnomon {
namespace {

using Format = Long4;
constexpr unsigned kEntriesPerTable = 512;

Gpa entry_address(Gpa table, Gva va, unsigned level) {
  return table.with_offset(PageSize::k4K, uint64_t{Format::index(va, level)} * sizeof(uint64_t));
}

/// What a mapping must grant for an access of the program, indexed by AccessOp.
constexpr Rights kNeeded[] = {kRightUser, kRightUser | kRightWrite, kRightUser | kRightExec};
/// What a new mapping grants: data may be written although it was only read so far.
constexpr Rights kFirst[] = {kRightUser | kRightWrite, kRightUser | kRightWrite,
                             kRightUser | kRightExec};

}  // namespace

absl::string_view name_of(GuestKernel::Result result) {
  switch (result) {
    case GuestKernel::Result::kDone: return "done";
    case GuestKernel::Result::kOutOfMemory: return "guest out of memory";
    case GuestKernel::Result::kStoreFailed: return "the backend refused an access to a guest table";
    case GuestKernel::Result::kUnexplained:
      return "a page fault that the guest's tables do not explain";
  }
  return "?";
}

std::optional<Gpa> GuestKernel::new_frame() {
  if (next_frame_ >= frames_) return std::nullopt;
  return Gpa::from_frame(next_frame_++);
}

GuestKernel::Result GuestKernel::new_table(Gpa& table) {
  const std::optional<Gpa> frame = new_frame();
  if (!frame) return Result::kOutOfMemory;
  table = *frame;
  ++stats_.tables;
  for (unsigned i = 0; i < kEntriesPerTable; ++i) {
    const Gpa at = table.with_offset(PageSize::k4K, uint64_t{i} * kEntryBytes);
    if (mmu_.write_physical(cpu_, at, 0, kEntryBytes) != StoreResult::kDone) {
      return Result::kStoreFailed;
    }
  }
  stats_.clearing_stores += kEntriesPerTable;
  return Result::kDone;
}

bool GuestKernel::load_entry(Gpa at, uint64_t& entry) {
  return mmu_.read_physical(cpu_, at, kEntryBytes, entry);
}

bool GuestKernel::store_entry(Gpa at, uint64_t entry) {
  ++stats_.entry_stores;
  return mmu_.write_physical(cpu_, at, entry, kEntryBytes) == StoreResult::kDone;
}

GuestKernel::Result GuestKernel::handle_fault(Gpa root, Gva va, AccessOp op) {
  Gpa table = root;
  uint64_t entry = 0;
  for (unsigned level = Format::kLevels; level > 1; --level) {
    const Gpa at = entry_address(table, va, level);
    if (!load_entry(at, entry)) return Result::kStoreFailed;
    if (!Format::present(entry)) {
      Gpa next;
      if (const Result made = new_table(next); made != Result::kDone) return made;
      entry = Format::make_table(next.value(), kAllRights);
      if (!store_entry(at, entry)) return Result::kStoreFailed;
    }
    table = Gpa(Format::table_base(entry));
  }

  const Gpa at = entry_address(table, va, 1);
  if (!load_entry(at, entry)) return Result::kStoreFailed;
  const auto kind = static_cast<size_t>(op);
  if (!Format::present(entry)) {
    const std::optional<Gpa> page = new_frame();
    if (!page) return Result::kOutOfMemory;
    entry = Format::make_leaf(page->value(), 1, kFirst[kind]);
    ++stats_.pages_mapped;
  } else {
    const Rights had = Format::rights(entry, 1, cpu_.rules);
    const Rights wanted = had | kNeeded[kind];
    if (had == wanted) return Result::kUnexplained;
    const uint64_t flags = entry & (pte::kAccessed | pte::kDirty);
    entry = Format::make_leaf(Format::leaf_base(entry, 1), 1, wanted) | flags;
    ++stats_.rights_added;
  }
  return store_entry(at, entry) ? Result::kDone : Result::kStoreFailed;
}

}  // namespace gnomon

// SPDX-License-Identifier: Apache-2.0
#include "traces/guest/kernel_map.h"

#include <array>

namespace gnomon::guest {
namespace {

constexpr uint64_t kKernelLeaf =
    pte::kPresent | pte::kAccessed | pte::kDirty | pte::kLarge | pte::kGlobal;
constexpr uint64_t kReadOnlyData = kKernelLeaf | pte::kNoExecute;
constexpr uint64_t kWritableData = kReadOnlyData | pte::kWritable;

// What lies behind the kernel's image, one 2M page each, from kText on.
constexpr std::array<uint64_t, 4> kImage = {kKernelLeaf, kKernelLeaf, kWritableData, kWritableData};
static_assert(KernelMap::kPerCpu == KernelMap::kText + (kImage.size() - 1) * kBlockBytes);

}  // namespace

std::optional<Gpa> KernelMap::add_table(GuestCpu& cpu, Gpa at) {
  const std::optional<Gpa> table = tables_.new_kernel_table(cpu);
  if (table) tables_.store(cpu, at, table->value() | kKernelTableBits);
  return table;
}

/// Maps a block of 2M at the level 2 entry `at`. False: no memory.
bool KernelMap::map_block(GuestCpu& cpu, Gpa at, uint64_t block, uint64_t leaf) {
  if (large_) {
    tables_.store(cpu, at, block | leaf);
    return true;
  }
  const std::optional<Gpa> table = add_table(cpu, at);
  if (!table) return false;
  const uint64_t end = frames_.total() * kFrameBytes;
  for (unsigned i = 0; i < kBlockBytes / kFrameBytes && block + i * kFrameBytes < end; ++i) {
    tables_.store(cpu, entry_at(*table, i), (block + i * kFrameBytes) | (leaf & ~pte::kLarge));
  }
  return true;
}

bool KernelMap::build(GuestCpu& cpu, Gpa root) {
  Gpa table = root;
  for (const unsigned level : {4u, 3u}) {
    const std::optional<Gpa> next = add_table(cpu, entry_for(table, kText, level));
    if (!next) return false;
    if (level == 4) root_entries_.emplace_back(Long4::index(Gva(kText), 4), 0);
    table = *next;
  }
  for (size_t i = 0; i < kImage.size(); ++i) {
    const std::optional<uint64_t> block = frames_.take_block(/*early=*/true);
    if (!block) return false;
    const Gpa at = entry_for(table, kText + i * kBlockBytes, 2);
    if (!map_block(cpu, at, page_at(*block).value(), kImage[i])) return false;
  }
  const uint64_t bytes = frames_.total() * kFrameBytes;
  constexpr uint64_t kGiant = bytes_of(PageSize::k512G);
  for (uint64_t at = 0; at < bytes; at += kGiant) {
    const Gva va = direct(Gpa(at));
    const std::optional<Gpa> giant = add_table(cpu, entry_for(root, va.value(), 4));
    if (!giant) return false;
    giant_tables_.push_back(*giant);
    root_entries_.emplace_back(Long4::index(va, 4), 0);
  }
  for (auto& [index, entry] : root_entries_) entry = tables_.load(cpu, entry_at(root, index));
  block_tables_.resize((bytes + bytes_of(PageSize::k1G) - 1) >> shift_of(PageSize::k1G));
  covered_.resize((bytes + kBlockBytes - 1) / kBlockBytes);
  return true;
}

void KernelMap::copy_to(GuestCpu& cpu, Gpa root) {
  for (const auto& [index, entry] : root_entries_) tables_.store(cpu, entry_at(root, index), entry);
}

bool KernelMap::cover(GuestCpu& cpu, Gpa table) {
  const uint64_t block = table.value() / kBlockBytes;
  if (covered_[block]) return true;
  const uint64_t va = direct(table).value();
  Gpa& blocks = block_tables_[table.frame(PageSize::k1G)];
  if (blocks == Gpa(0)) {
    const Gpa giant = giant_tables_[table.frame(PageSize::k512G)];
    const std::optional<Gpa> made = add_table(cpu, entry_for(giant, va, 3));
    if (!made) return false;
    blocks = *made;
  }
  if (!map_block(cpu, entry_for(blocks, va, 2), block * kBlockBytes, kReadOnlyData)) return false;
  covered_[block] = true;
  return true;
}

}  // namespace gnomon::guest

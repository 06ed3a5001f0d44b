// SPDX-License-Identifier: Apache-2.0
#include "vmm/board/memory_map.h"

#include <algorithm>

#include "vmm/devices/io_apic.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
constexpr uint64_t kLocalApicBase = 0xfee0'0000, kPage = 0x1000;

void add(std::vector<MemoryRange>& map, uint64_t from, uint64_t to, MemoryRange::Kind kind) {
  if (from < to) map.push_back({from, to - from, kind});
}

}  // namespace

std::vector<MemoryRange> plain_memory_map(uint64_t memory_bytes) {
  std::vector<MemoryRange> map;
  const uint64_t low = std::min(memory_bytes, kMemoryHole);
  add(map, 0, low, MemoryRange::Kind::kUsable);
  add(map, kHighMemory, kHighMemory + (memory_bytes - low), MemoryRange::Kind::kUsable);
  return map;
}

std::vector<MemoryRange> pc_memory_map(uint64_t memory_bytes) {
  constexpr auto kUsable = MemoryRange::Kind::kUsable, kReserved = MemoryRange::Kind::kReserved;
  std::vector<MemoryRange> map;
  const uint64_t low = std::min(memory_bytes, kMemoryHole);
  add(map, 0, kExtendedBios, kUsable);
  add(map, kExtendedBios, kVideoMemory, kReserved);
  add(map, kVideoMemory, kMib, kReserved);
  add(map, kMib, low, kUsable);
  add(map, IoApic::kBase, IoApic::kBase + kPage, kReserved);
  add(map, kLocalApicBase, kLocalApicBase + kPage, kReserved);
  add(map, kHighMemory, kHighMemory + (memory_bytes - low), kUsable);
  return map;
}

}  // namespace gnomon::vmm

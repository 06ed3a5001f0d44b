// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "mmu/direct/direct.h"
#include "mmu/guest_access.h"

// The virtual page directory: the guest's loads and stores on its tables.

namespace gnomon {

using direct::PvTables;

namespace {

constexpr unsigned kEntryBytes = 8;

// The slot of the first and the last entry that an access of `size` bytes touches.
struct Touched {
  Touched(Gpa at, unsigned size)
      : first(static_cast<unsigned>(at.offset_in(PageSize::k4K)) / kEntryBytes),
        last((static_cast<unsigned>(at.offset_in(PageSize::k4K)) + size - 1) / kEntryBytes),
        shift(8 * (static_cast<unsigned>(at.value()) % kEntryBytes)) {}
  unsigned first, last;
  unsigned shift;  // of the access's first byte in the first entry, in bits
};

constexpr uint64_t low_bytes(unsigned size) { return ~uint64_t{0} >> (64 - 8 * size); }

}  // namespace

StoreResult DirectMmu::write_physical(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) {
  VmExit exit(cpu, p2m_.lock());
  ++cpu.counters[Counter::kTableWrites];
  if (!store_is_legal(at, size) || !tables_.types().is_table_at(at)) {
    return store_untracked(p2m_, at, value, size, cpu.counters);
  }
  Vcpu& v = vcpu(cpu);
  if (options_.trap) {
    ++cpu.counters[Counter::kExitTableWrite];
  } else if (++v.batched == options_.batch) {
    hypercall(cpu, v);
  }
  StoreResult result = update_table(cpu, at, value, size);
  // What stands in the way may be a root that the guest gave up and only this backend still holds; without
  // it the page may be no table at all.
  if (result == StoreResult::kRefused && unpin_beyond(0)) {
    if (!tables_.types().is_table_at(at)) return store_untracked(p2m_, at, value, size, cpu.counters);
    result = update_table(cpu, at, value, size);
  }
  if (result == StoreResult::kRefused) ++cpu.counters[Counter::kPvUpdatesRefused];
  return result;
}

StoreResult DirectMmu::update_table(VcpuState& cpu, Gpa at, uint64_t value, unsigned size) {
  const Touched touched(at, size);
  const PvTables::Place place{p2m_.frame_index(at), touched.first};
  std::array<PvTables::NewEntry, 2> entries;
  const size_t count = touched.last - touched.first + 1;
  for (unsigned i = 0; i < count; ++i) {
    const auto part = [&](uint64_t x) { return i == 0 ? x << touched.shift : x >> (64 - touched.shift); };
    const uint64_t mask = part(low_bytes(size));
    const uint64_t seen = tables_.visible({place.table, place.slot + i});
    entries[i] = {(seen & ~mask) | (part(value) & mask), /*keep_flags=*/(mask & 0xff) == 0};
  }
  if (!tables_.update(place, absl::MakeSpan(entries.data(), count), {cpu.rules, cpu.counters})) {
    return StoreResult::kRefused;
  }
  ++cpu.counters[Counter::kPvUpdates];
  if (options_.trap) ++cpu.counters[Counter::kTableWritesApplied];
  make_usable(p2m_, at, /*write=*/true, cpu.counters);  // the store itself, for the dirty log
  return StoreResult::kDone;
}

bool DirectMmu::read_physical(VcpuState& cpu, Gpa at, unsigned size, uint64_t& value) {
  VmExit exit(cpu, p2m_.lock());
  flush_batch(cpu, vcpu(cpu));
  ++cpu.counters[Counter::kTableReads];
  if (!store_is_legal(at, size) || !tables_.types().is_table_at(at)) {
    return load_untracked(p2m_, at, size, value, cpu.counters);
  }
  ++cpu.counters[Counter::kDirectoryReads];
  const Touched touched(at, size);
  const uint32_t table = p2m_.frame_index(at);
  value = tables_.visible({table, touched.first}) >> touched.shift;
  if (touched.last != touched.first) {
    value |= tables_.visible({table, touched.last}) << (64 - touched.shift);
  }
  value &= low_bytes(size);
  return true;
}

}  // namespace gnomon

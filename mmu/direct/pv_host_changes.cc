// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "mmu/direct/entry_base.h"
#include "mmu/direct/pv_tables.h"

// The host moves frames, takes them away or watches for writes while entries name them. There is no reverse
// map: counts say whether anything names a frame, and only then all tables are searched (512 entries of
// each). Such changes are rare next to table updates, which pay nothing for them.

namespace gnomon::direct {

template <class F>
void PvTables::for_each_entry(F&& f) const {
  for (const uint32_t table : tables_) {
    const unsigned level = level_of(types_.type(table));
    uint64_t* entries = entries_at(table);
    for (unsigned slot = 0; slot < kEntries; ++slot) {
      const uint64_t now = std::atomic_ref<uint64_t>(entries[slot]).load();
      if (Long4::present(now)) f(Place{table, slot}, now, level);
    }
  }
}

void PvTables::suspend(Gpa first, uint64_t frames) {
  if (types_.any_referenced(first, frames)) {
    std::vector<Place> hits;
    for_each_entry([&](Place place, uint64_t now, unsigned level) {
      if (target_of(now, level).meets(first, frames)) hits.push_back(place);
    });
    for (const Place place : hits) suspend_entry(place);
  }
  settle(/*flush=*/true);
  for (uint64_t i = 0; i < frames; ++i) {
    const P2mEntry e = p2m_.lookup(Gpa::from_frame(first.frame() + i));
    if (e.is_ram()) m2p_.erase(e.frame());
  }
}

void PvTables::suspend_entry(Place place) {
  const unsigned level = level_of(types_.type(place.table));
  std::atomic_ref<uint64_t> entry(entries_at(place.table)[place.slot]);
  const uint64_t old = entry.exchange(0);
  const bool was_read_only = forget(place);
  const uint64_t value = with_base(old, level, target_of(old, level).gpa.value());
  remember(place, value | (was_read_only ? pte::kWritable : 0));
  release(place.table, level, {old, was_read_only});
}

void PvTables::write_protect(Gpa first, uint64_t frames) {
  if (types_.any_referenced(first, frames)) {
    std::vector<Place> hits;
    for_each_entry([&](Place place, uint64_t now, unsigned level) {
      const Target t = target_of(now, level);
      if (t.leaf && (now & pte::kWritable) != 0 && t.meets(first, frames)) hits.push_back(place);
    });
    for (const Place place : hits) {
      std::atomic_ref<uint64_t>(entries_at(place.table)[place.slot]).fetch_and(~pte::kWritable);
      remember(place, 0);
    }
  }
  settle(/*flush=*/true);
}

bool PvTables::make_writable(Place place) {
  if (!is_remembered(place)) return false;
  const unsigned level = level_of(types_.type(place.table));
  const uint64_t now = raw(place);
  const Target t = target_of(now, level);
  if (!Long4::present(now) || any_logged(t.gpa, t.size)) return false;
  std::atomic_ref<uint64_t>(entries_at(place.table)[place.slot]).fetch_or(pte::kWritable);
  forget(place);
  return true;
}

}  // namespace gnomon::direct

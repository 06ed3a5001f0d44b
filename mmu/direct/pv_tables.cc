// SPDX-License-Identifier: Apache-2.0
#include "mmu/direct/pv_tables.h"

#include <array>

#include "gnomon/x86/guest_walk.h"
#include "mmu/direct/entry_base.h"

namespace gnomon::direct {
namespace {

std::atomic_ref<uint64_t> in_place(uint64_t& entry) { return std::atomic_ref<uint64_t>(entry); }

constexpr uint64_t kFlags = pte::kAccessed | pte::kDirty;

}  // namespace

uint64_t* PvTables::entries_at(uint32_t table) const {
  return reinterpret_cast<uint64_t*>(p2m_.ram_at(p2m_.frame_at(table)));
}

uint64_t PvTables::raw(Place place) const {
  return in_place(entries_at(place.table)[place.slot]).load();
}

PvTables::Target PvTables::target_of(uint64_t raw, unsigned level) const {
  Target t;
  t.leaf = Long4::leaf(raw, level, {});
  t.hpa = Hpa(raw & base_mask(raw, level));
  t.gpa = m2p_.find(t.hpa).value_or(Gpa(~uint64_t{0}));
  if (t.leaf) t.size = Long4::leaf_size(level);
  return t;
}

bool PvTables::any_logged(Gpa page, PageSize size) const {
  const uint64_t frames = bytes_of(size) >> shift_of(PageSize::k4K);
  for (uint64_t i = 0; i < frames; ++i) {
    if (p2m_.lookup(Gpa::from_frame(page.frame() + i)).write_logged()) return true;
  }
  return false;
}

uint64_t PvTables::visible(Place place) const {
  const uint64_t now = raw(place);
  const auto it = remembered_.empty() ? remembered_.end() : remembered_.find(place.key());
  const bool changed = it != remembered_.end();
  if (!Long4::present(now)) return changed ? it->second : now;
  const unsigned level = level_of(types_.type(place.table));
  return with_base(now, level, target_of(now, level).gpa.value()) | (changed ? pte::kWritable : 0);
}

void PvTables::set_flags(Place place, uint64_t flags) {
  const auto it = remembered_.find(place.key());
  if (it != remembered_.end() && !Long4::present(raw(place))) {
    it->second |= flags;
  } else {
    in_place(entries_at(place.table)[place.slot]).fetch_or(flags);
  }
}

void PvTables::remember(Place place, uint64_t value) {
  remembered_[place.key()] = value;
  remembered_count_.store(remembered_.size(), std::memory_order_release);
}

bool PvTables::forget(Place place) {
  if (remembered_.empty() || remembered_.erase(place.key()) == 0) return false;
  remembered_count_.store(remembered_.size(), std::memory_order_release);
  return true;
}

// References --------------------------------------------------------------------------------------

bool PvTables::acquire_leaf(Gpa page, PageSize size, bool writable, P2mEntry e) {
  if (e.size() < size) return false;
  if (writable && (e.rom() || !types_.may_map_writable(page, size))) return false;
  types_.add_mapping(page, size, writable);
  return true;
}

bool PvTables::acquire_table(Gpa frame, FrameType type, const Request& request) {
  const uint32_t index = p2m_.frame_index(frame);
  if (types_.type(index) != type && !promote(frame, type, request)) return false;
  types_.add_table_use(index);
  return true;
}

// Takes the reference that an entry of `table` with the guest's `value` needs, and gives the entry as the
// hardware is to see it. nullopt: the guest may not have this entry; nothing was taken.
std::optional<PvTables::Installed> PvTables::acquire(uint32_t table, unsigned level, uint64_t value,
                                                     const Request& request) {
  if (!Long4::present(value)) return Installed{value, false};
  const bool leaf = Long4::leaf(value, level, request.rules);
  if (Long4::malformed(value, level, leaf, request.rules)) return std::nullopt;
  const Gpa gpa(value & base_mask(value, level));
  const P2mEntry e = make_usable(p2m_, gpa, /*write=*/false, request.counters);
  if (!e.is_ram()) return std::nullopt;
  Installed entry{with_base(value, level, e.frame().value()), false};
  // A host address may be wider than what this processor calls physical.
  if (Long4::malformed(entry.raw, level, leaf, request.rules)) return std::nullopt;
  const bool writable = (value & pte::kWritable) != 0;
  if (leaf) {
    const PageSize size = Long4::leaf_size(level);
    if (!acquire_leaf(gpa, size, writable, e)) return std::nullopt;
    entry.read_only = writable && any_logged(gpa, size);
    if (entry.read_only) entry.raw &= ~pte::kWritable;
  } else if (level == 4 && p2m_.frame_index(gpa) == table) {
    if (writable) return std::nullopt;
    types_.add_self_use(table);
  } else if (e.rom() || !acquire_table(gpa, table_type(level - 1), request)) {
    return std::nullopt;
  }
  m2p_.set(e.frame(), gpa);
  return entry;
}

void PvTables::release(uint32_t table, unsigned level, Installed entry) {
  if (!Long4::present(entry.raw)) return;
  const Target t = target_of(entry.raw, level);
  if (t.leaf) {
    const bool writable = entry.read_only || (entry.raw & pte::kWritable) != 0;
    types_.drop_mapping(t.gpa, t.size, writable, revoker_.epoch());
    return;
  }
  const uint32_t child = p2m_.frame_index(t.gpa);
  if (child == table) {
    types_.drop_self_use(child);
  } else {
    drop_table(child);
  }
}

void PvTables::drop_table(uint32_t table) {
  if (types_.drop_table_use(table)) doomed_.push_back(table);
}

// Promotion and demotion ---------------------------------------------------------------------------

// Makes the frame a table without uses. The depth of the recursion through acquire is the level.
bool PvTables::promote(Gpa frame, FrameType type, const Request& request) {
  if (!types_.may_become_table(frame)) return false;
  const uint32_t index = p2m_.frame_index(frame);
  types_.begin_table(frame, type);
  tables_.insert(index);
  // What is validated now must not change through a translation from before.
  if (types_.may_be_stale(frame, revoker_.epoch())) revoker_.revoke();
  if (types_.is_mapped(frame)) retyped_ = true;
  uint64_t* entries = entries_at(index);
  for (unsigned slot = 0; slot < kEntries; ++slot) {
    const uint64_t value = in_place(entries[slot]).load();
    if (!Long4::present(value)) continue;
    const std::optional<Installed> entry = acquire(index, level_of(type), value, request);
    if (!entry) {
      turn_back(index, slot);
      return false;
    }
    in_place(entries[slot]).store(entry->raw);
    if (entry->read_only) remember({index, slot}, 0);
  }
  return true;
}

// The first `entries` of a table that no hardware can reach become the guest's again, the references go,
// and the frame is no table any more.
void PvTables::turn_back(uint32_t table, unsigned entries) {
  const unsigned level = level_of(types_.type(table));
  uint64_t* at = entries_at(table);
  for (unsigned slot = 0; slot < entries; ++slot) {
    const Place place{table, slot};
    const uint64_t now = in_place(at[slot]).load();
    const uint64_t value = visible(place);
    release(table, level, {now, forget(place)});
    in_place(at[slot]).store(value);
  }
  types_.end_table(p2m_.frame_at(table));
  tables_.erase(table);
}

void PvTables::settle(bool flush) {
  if (flush || retyped_ || !doomed_.empty()) revoker_.revoke();
  retyped_ = false;
  while (!doomed_.empty()) {
    const uint32_t table = doomed_.back();
    doomed_.pop_back();
    // It may have found another use, or been named twice.
    if (is_table(types_.type(table)) && types_.frame(table).type_count == 0) {
      turn_back(table, kEntries);
    }
  }
}

// What the guest asks for --------------------------------------------------------------------------

bool PvTables::pin(Gpa frame, const Request& request) {
  const P2mEntry e = make_usable(p2m_, frame, /*write=*/false, request.counters);
  const bool ok = e.is_ram() && !e.rom() && acquire_table(frame, FrameType::kL4, request);
  if (ok) m2p_.set(e.frame(), frame);
  settle(false);
  return ok;
}

void PvTables::unpin(uint32_t table) {
  drop_table(table);
  settle(false);
}

bool PvTables::update(Place place, absl::Span<const NewEntry> values, const Request& request) {
  const unsigned level = level_of(types_.type(place.table));
  std::array<Installed, 2> entries{};
  for (size_t i = 0; i < values.size(); ++i) {
    const std::optional<Installed> entry = acquire(place.table, level, values[i].value, request);
    if (!entry) {
      while (i-- > 0) release(place.table, level, entries[i]);
      settle(false);
      return false;
    }
    entries[i] = *entry;
  }
  uint64_t* at = entries_at(place.table) + place.slot;
  for (size_t i = 0; i < values.size(); ++i) {
    const Place here{place.table, place.slot + static_cast<unsigned>(i)};
    uint64_t old = in_place(at[i]).load();
    uint64_t desired;
    do {
      desired = entries[i].raw;
      if (values[i].keep_flags && Long4::present(old)) desired |= old & kFlags;
    } while (!in_place(at[i]).compare_exchange_weak(old, desired));
    const bool was_read_only = forget(here);
    if (entries[i].read_only) remember(here, 0);
    release(place.table, level, {old, was_read_only});
  }
  settle(false);
  return true;
}

bool PvTables::reinstate(Place place, const Request& request) {
  const auto it = remembered_.find(place.key());
  if (it == remembered_.end()) return false;
  const unsigned level = level_of(types_.type(place.table));
  const std::optional<Installed> entry = acquire(place.table, level, it->second, request);
  if (entry) {
    forget(place);
    if (entry->read_only) remember(place, 0);
    in_place(entries_at(place.table)[place.slot]).store(entry->raw);
  }
  settle(false);
  return entry.has_value();
}

}  // namespace gnomon::direct

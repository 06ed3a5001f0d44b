// SPDX-License-Identifier: Apache-2.0
#include "mmu/vtlb/private_tables.h"

namespace gnomon {

using shadow::is_present;

PrivateTables::Table* PrivateTables::make(unsigned level) {
  if (bytes() + kBytesPerTable > budget_bytes_) return nullptr;
  const std::optional<Hpa> at = p2m_.host().allocate(FrameOwner::kShadowTable);
  if (!at) return nullptr;
  auto t = std::make_unique<Table>();
  t->at = *at;
  t->level = level;
  t->entries = p2m_.host().at<uint64_t>(*at);
  tables_.push_back(std::move(t));
  return tables_.back().get();
}

void PrivateTables::free_all() {
  for (const auto& t : tables_) p2m_.host().free(t->at);
  tables_.clear();
}

uint64_t PrivateTables::mark(PageSize guest, unsigned leaf_level, unsigned level) {
  if (guest == PageSize::k4M) return level == 2 ? kPiecesOf4M : 0;
  return guest > Long4::leaf_size(leaf_level) && guest == Long4::leaf_size(level) ? kPieces : 0;
}

bool PrivateTables::fill(Gva va, unsigned top_level, unsigned level, uint64_t entry,
                         PageSize guest_size, Gpa gpa) {
  if (tables_.empty() && make(top_level) == nullptr) return false;
  Table* t = tables_.front().get();
  while (t->level > level) {
    const unsigned i = Long4::index(va, t->level);
    const uint64_t old = t->entries[i];
    if (!is_present(old) || is_leaf(old, t->level)) {
      const size_t number = tables_.size();
      Table* below = make(t->level - 1);
      if (below == nullptr) return false;
      t->target[i] = number;
      shadow::store_spte(t->entries[i], shadow::make_link(below->at, kAllRights));
    }
    const uint64_t pieces = mark(guest_size, level, t->level);
    if (pieces != 0) shadow::store_spte(t->entries[i], t->entries[i] | pieces);
    t = tables_[t->target[i]].get();
  }
  const unsigned i = Long4::index(va, level);
  t->target[i] = gpa.page_base(Long4::leaf_size(level)).value();
  shadow::store_spte(t->entries[i], entry | mark(guest_size, level, level));
  root_.store(tables_.front()->at.value(), std::memory_order_release);
  return true;
}

// Tables below stay linked, empty, until a flush frees everything: other pages will need them.
void PrivateTables::clear(Table& t, unsigned index) {
  const uint64_t e = t.entries[index];
  if (!is_present(e)) return;
  if (is_leaf(e, t.level)) {
    shadow::store_spte(t.entries[index], 0);
    return;
  }
  Table& below = *tables_[t.target[index]];
  for (unsigned i = 0; i < kEntries; ++i) clear(below, i);
  shadow::store_spte(t.entries[index], e & ~(kPieces | kPiecesOf4M));
}

void PrivateTables::drop(Gva va) {
  if (tables_.empty()) return;
  for (Table* t = tables_.front().get();;) {
    const unsigned i = Long4::index(va, t->level);
    if (t->level == 2) {
      const unsigned pair = i & ~1u;
      if (((t->entries[pair] | t->entries[pair + 1]) & kPiecesOf4M) != 0) {
        clear(*t, pair);
        clear(*t, pair + 1);
        return;
      }
    }
    const uint64_t e = t->entries[i];
    if (!is_present(e)) return;
    if (is_leaf(e, t->level) || (e & kPieces) != 0) {
      clear(*t, i);
      return;
    }
    t = tables_[t->target[i]].get();
  }
}

bool PrivateTables::flush_in(Table& t) {
  bool any_kept = false;
  for (unsigned i = 0; i < kEntries; ++i) {
    const uint64_t e = t.entries[i];
    if (!is_present(e)) continue;
    const bool leaf = is_leaf(e, t.level);
    const bool keep = leaf ? (e & pte::kGlobal) != 0 : flush_in(*tables_[t.target[i]]);
    if (leaf && !keep) clear(t, i);
    any_kept |= keep;
  }
  return any_kept;
}

void PrivateTables::flush_non_global() {
  if (tables_.empty() || flush_in(*tables_.front())) return;
  unpublish();
  free_all();
}

shadow::Origin PrivateTables::origin_of(Gva va) const {
  bool pieces = false;
  for (const Table* t = tables_.front().get();;) {
    const unsigned i = Long4::index(va, t->level);
    pieces |= (t->entries[i] & (kPieces | kPiecesOf4M)) != 0;
    if (is_leaf(t->entries[i], t->level)) {
      return {Gpa(t->target[i] | va.offset_in(Long4::leaf_size(t->level))), pieces};
    }
    t = tables_[t->target[i]].get();
  }
}

}  // namespace gnomon

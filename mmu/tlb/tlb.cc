// SPDX-License-Identifier: Apache-2.0
#include "gnomon/tlb/tlb.h"

#include <algorithm>
#include <bit>

namespace gnomon {
namespace {

using tlb_internal::kContextShift;
using tlb_internal::kNoContext;
using tlb_internal::page_tag;

bool canonical57(Gva va) {
  const auto high = static_cast<int64_t>(va.value()) >> 56;
  return high == 0 || high == -1;
}

size_t slots_of(const TlbConfig& config) {
  size_t slots = 0;
  for (const TlbStructureConfig& c : config.structures) slots += c.entries;
  return slots;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tlb>> Tlb::create(const TlbConfig& config) {
  if (absl::Status s = config.validate(); !s.ok()) return s;
  return std::unique_ptr<Tlb>(new Tlb(config));
}

Tlb::Tlb(const TlbConfig& config) : config_(config), present_(slots_of(config)) {
  arrays_.reserve(config_.structures.size());
  for (const TlbStructureConfig& c : config_.structures) {
    for (unsigned op = 0; op < 3; ++op) {
      if ((c.serves >> op & 1) == 0) continue;
      for (const TlbSize& s : c.sizes) {
        for (unsigned size = 0; size < kTlbSizes; ++size) {
          if (kTlbSizeOf[size] != s.size) continue;
          Banks& banks = banks_[c.level][op][size];
          banks.array[banks.count++] = arrays_.data() + arrays_.size();
        }
      }
    }
    has_untagged_ |= !c.tagged;
    constexpr unsigned kFetches = 1u << static_cast<unsigned>(AccessOp::kFetch);
    if (c.level == 1 && (c.serves & kFetches) != 0 && c.serves != kFetches) fetches_apart_ = false;
    arrays_.emplace_back(c, live_, present_);
  }
  renew_current();
}

const TlbEntry* Tlb::search_level(unsigned level, Gva va, unsigned sizes, Access access,
                                  const PagingRules& rules) {
  const auto op = static_cast<unsigned>(access.op());
  for (; sizes != 0; sizes &= sizes - 1) {
    const auto size = static_cast<unsigned>(std::countr_zero(sizes));
    const uint64_t page = page_tag(va, size);
    TlbArray* const array = bank_of(banks_[level][op][size], page);
    if (array == nullptr) continue;
    const uint32_t slot = array->find(page, contexts_[array->tagged()]);
    if (slot == TlbArray::kNone) [[likely]] continue;
    const TlbEntry& e = array->entry(slot);
    if (!permits(e, access, rules)) {
      array->drop(slot, TlbArray::Why::kDenied);
      absent_ = 0;  // there may be another, global or not
      continue;
    }
    array->note_hit(slot, size);
    hit_level_ = level;
    if (level == 1) {
      hints_[hint_index(va, access.op())] = {hint_page(va, access.op()), hint_context_, array->tag(slot),
                                           array, slot};
      largest_hinted_ = std::max(largest_hinted_, size);
    }
    return &e;
  }
  ++misses_[level][op];
  return nullptr;
}

const TlbEntry* Tlb::search(Gva va, Access access, const PagingRules& rules) {
  hit_level_ = 0;
  absent_ = hint_page(va, access.op());
  const unsigned sizes = sizes_around(va);
  if ((sizes == 1 && present_.none(page_tag(va, 0))) || !canonical57(va)) {
    for (unsigned level : {1, 2}) ++misses_[level][static_cast<unsigned>(access.op())];
    return nullptr;
  }
  if (const TlbEntry* e = search_level(1, va, sizes, access, rules)) {
    absent_ = 0;
    return e;
  }
  const TlbEntry* const e = search_level(2, va, sizes, access, rules);
  if (e == nullptr) return nullptr;
  fill_level(1, va, access.op(), *e, absent_ != 0 ? Kept::kNo : Kept::kPerhaps);
  absent_ = 0;
  return e;
}

// `whole` is the translation of at least the page around `va` that will be kept.
void Tlb::fill_level(unsigned level, Gva va, AccessOp op, const TlbEntry& whole, Kept kept) {
  for (unsigned size = kTlbSizes; size-- > 0;) {
    if (kTlbSizeOf[size] > whole.size) continue;
    const uint64_t page = page_tag(va, size);
    TlbArray* const array = bank_of(banks_[level][static_cast<unsigned>(op)][size], page);
    if (array == nullptr) continue;
    if (kTlbSizeOf[size] == whole.size) [[likely]] {
      keep(*array, page, whole, kept);
    } else {
      keep(*array, page,
           entry_of(translation_of(whole, va), va, kTlbSizeOf[size], whole.pcid, whole.vpid), kept);
    }
    if (level != 1) return;
    // The new entry may be found before the one that a hint names.
    if (size == 0) {
      for (AccessOp any : {AccessOp::kRead, AccessOp::kWrite, AccessOp::kFetch}) {
        hints_[hint_index(va, any)].page = 0;
      }
    } else if (largest_hinted_ > size || whole.global) {
      forget_hints();
    }
    return;
  }
}

inline void Tlb::keep(TlbArray& array, uint64_t page, const TlbEntry& entry, Kept kept) {
  if ((page & 3) != 0) held_.add(entry.page, static_cast<uint8_t>(1u << (page & 3)));
  if (entry.fragment) held_.add(entry.page, kFragments);
  const Contexts contexts = contexts_[array.tagged()];
  array.fill(page, entry.global ? contexts.global : contexts.local,
             kept == Kept::kNo ? TlbArray::kNone : array.find(page, contexts), entry);
}

void Tlb::insert(Gva va, Access access, const Translation& t, uint16_t pcid) {
  if (!t.ok() || !t.cacheable || !canonical57(va)) return;
  if (pcid != pcid_) switch_to(pcid, vpid_);
  const TlbEntry whole = entry_of(t, va, t.size, pcid_, vpid_);
  const Kept kept = absent_ == hint_page(va, access.op()) ? Kept::kNo : Kept::kPerhaps;
  absent_ = 0;
  fill_level(1, va, access.op(), whole, kept);
  fill_level(2, va, access.op(), whole, kept);
}

void Tlb::forget_hints() {
  ++hint_epoch_;
  hint_context_ = contexts_[1].local | hint_epoch_;
  largest_hinted_ = 0;
}

void Tlb::invalidate_page(Gva va, uint16_t pcid, bool globals) {
  if (!canonical57(va)) return;
  // What other PCIDs had is gone from untagged structures; tagged ones know their context, if any.
  std::array<Contexts, 2> of = contexts_;
  if (pcid != pcid_) {
    of[0].local = kNoContext;
    const auto it = context_ids_.find(context_key(vpid_, pcid));
    of[1].local = it == context_ids_.end() ? kNoContext : uint64_t{it->second} << kContextShift;
  }
  if (!globals) of[0].global = of[1].global = kNoContext;
  const unsigned sizes = sizes_around(va);
  for (TlbArray& array : arrays_) {
    for (const TlbSize& s : array.config().sizes) {
      const unsigned size = size_number(s.size);
      if ((sizes >> size & 1) == 0) continue;
      const uint64_t page = page_tag(va, size);
      for (uint32_t slot; (slot = array.find(page, of[array.tagged()])) != TlbArray::kNone;) {
        array.drop(slot, TlbArray::Why::kInvalidated);
      }
    }
  }
  if ((held_.at(va) & kFragments) != 0) drop_fragments(va, of);
}

void Tlb::drop_fragments(Gva va, const std::array<Contexts, 2>& of) {
  const uint64_t region = va.frame(PageSize::k1G);
  held_.clear(kFragments);
  for (TlbArray& array : arrays_) {
    const Contexts& contexts = of[array.tagged()];
    for (uint32_t slot = 0; slot < array.slots(); ++slot) {
      const TlbEntry& e = array.entry(slot);
      if (!e.fragment || !live_.alive(array.tag(slot))) continue;
      const uint64_t context = array.tag(slot) >> kContextShift << kContextShift;
      if (e.page.frame(PageSize::k1G) == region &&
          (context == contexts.local || context == contexts.global)) {
        array.drop(slot, TlbArray::Why::kInvalidated);
      } else {
        held_.add(e.page, kFragments);
      }
    }
  }
}

TlbStatistics Tlb::statistics() const {
  TlbStatistics s;
  s.flushes = flushes_;
  for (unsigned level : {1, 2}) {
    for (const uint64_t n : misses_[level]) s.misses[level] += n;
  }
  for (const TlbArray& array : arrays_) {
    const TlbStructureConfig& c = array.config();
    TlbStatistics::Structure& out = s.structures.emplace_back();
    out.name = c.name;
    out.level = c.level;
    out.by_size = array.counts();
    for (unsigned op = 0; op < 3; ++op) {
      if ((c.serves >> op & 1) != 0) out.misses += misses_[c.level][op];
    }
    for (const TlbSizeCounts& n : out.by_size) s.hits[c.level] += n.hits;
  }
  return s;
}

void Tlb::reset_statistics() {
  misses_ = {};
  flushes_ = 0;
  for (TlbArray& array : arrays_) array.reset_counts();
}

}  // namespace gnomon

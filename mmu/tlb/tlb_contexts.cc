// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "gnomon/tlb/tlb.h"

// Flushing by renaming: what is flushed keeps its tags, under a context number that is never looked
// up again. Rules:
//   - Every number in use (a value of context_ids_, or a current one of the untagged structures) has its
//     bit set in live_; nothing else has.
//   - live_.epoch grows whenever a number dies, so that full sets are looked at anew.
//   - When the numbers run out, all in use are numbered again from 1 and the dead entries erased.

namespace gnomon {

using tlb_internal::kContextShift;
using tlb_internal::kMaxContext;

uint32_t Tlb::new_context() {
  const uint32_t id = next_context_++;
  live_.bits[id / 64] |= uint64_t{1} << (id % 64);
  return id;
}

void Tlb::end_context(uint32_t id) {
  live_.bits[id / 64] &= ~(uint64_t{1} << (id % 64));
  ++live_.epoch;
}

void Tlb::end_key(uint32_t key) {
  const auto it = context_ids_.find(key);
  if (it == context_ids_.end()) return;
  end_context(it->second);
  context_ids_.erase(it);
}

uint32_t Tlb::context_of(uint32_t key) {
  uint32_t& id = context_ids_[key];
  if (id == 0) id = new_context();
  return id;
}

// Gives the current machine and PCID their contexts, after either changed or was flushed.
void Tlb::renew_current() {
  absent_ = 0;
  if (next_context_ + 4 > kMaxContext) number_contexts_anew();
  contexts_[1].local = uint64_t{context_of(context_key(vpid_, pcid_))} << kContextShift;
  contexts_[1].global = uint64_t{context_of(globals_key(vpid_))} << kContextShift;
  hint_context_ = contexts_[1].local | hint_epoch_;
  for (uint64_t* context : {&contexts_[0].local, &contexts_[0].global}) {
    if (*context == 0 && has_untagged_) *context = uint64_t{new_context()} << kContextShift;
  }
}

void Tlb::end_untagged(bool globals) {
  if (!has_untagged_) return;
  forget_hints();
  for (uint64_t* context : {&contexts_[0].local, &contexts_[0].global}) {
    if (*context == 0 || (context == &contexts_[0].global && !globals)) continue;
    end_context(static_cast<uint32_t>(*context >> kContextShift));
    *context = 0;
  }
}

void Tlb::switch_to(uint16_t pcid, uint16_t vpid) {
  end_untagged(/*globals=*/vpid != vpid_);
  pcid_ = pcid;
  vpid_ = vpid;
  renew_current();
}

void Tlb::flush_pcid(uint16_t pcid) {
  ++flushes_;
  end_key(context_key(vpid_, pcid));
  if (pcid != pcid_) return;
  end_untagged(/*globals=*/false);
  renew_current();
}

void Tlb::flush_machine(bool globals) {
  ++flushes_;
  absl::erase_if(context_ids_, [&](const auto& item) {
    if (machine_of(item.first) != vpid_ || (!globals && item.first == globals_key(vpid_))) return false;
    end_context(item.second);
    return true;
  });
  end_untagged(globals);
  renew_current();
}
void Tlb::flush_non_global() { flush_machine(/*globals=*/false); }
void Tlb::flush_vpid() { flush_machine(/*globals=*/true); }

void Tlb::flush_all() {
  ++flushes_;
  for (const auto& item : context_ids_) end_context(item.second);
  context_ids_.clear();
  end_untagged(/*globals=*/true);
  held_.clear(kLargeSizes | kFragments);
  renew_current();
}

// A TLB so large that its entries are of nearly as many contexts as there are numbers is flushed
// instead.
void Tlb::number_contexts_anew() {
  std::vector<uint32_t> renamed(kMaxContext + 1);
  std::vector<bool> used(kMaxContext + 1);
  const auto note = [&](uint64_t tag) { used[tag >> kContextShift] = live_.alive(tag); };
  for (const TlbArray& array : arrays_) {
    for (uint32_t slot = 0; slot < array.slots(); ++slot) note(array.tag(slot));
  }
  for (const Contexts& c : contexts_) {
    note(c.local);
    note(c.global);
  }
  // PCIDs without an entry do not need their number: otherwise there might be too many.
  absl::erase_if(context_ids_, [&](const auto& item) { return !used[item.second]; });

  if (std::count(used.begin(), used.end(), true) > kMaxContext / 2) {
    context_ids_.clear();
    contexts_ = {};
    used.assign(used.size(), false);
  }
  next_context_ = 1;
  live_.bits.assign(live_.bits.size(), 0);
  ++live_.epoch;
  for (uint32_t id = 1; id <= kMaxContext; ++id) {
    if (used[id]) renamed[id] = new_context();
  }
  for (auto& item : context_ids_) item.second = renamed[item.second];
  for (Contexts& c : contexts_) {
    for (uint64_t* context : {&c.local, &c.global}) {
      *context = uint64_t{renamed[*context >> kContextShift]} << kContextShift;
    }
  }
  for (TlbArray& array : arrays_) array.rename(renamed);
  forget_hints();
}

}  // namespace gnomon

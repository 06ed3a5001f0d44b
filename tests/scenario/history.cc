// SPDX-License-Identifier: Apache-2.0
#include "tests/scenario/history.h"

#include <algorithm>

namespace gnomon::scenario {
namespace {

void add(std::vector<Cached>& list, const Cached& c) {
  if (std::find(list.begin(), list.end(), c) == list.end()) list.push_back(c);
}

}  // namespace

void History::observe(const NaiveMmu& naive, const VcpuState& cpu) {
  // A supervisor read that nothing but the tables can stop.
  Controls plain = cpu.controls;
  plain.cr4 &= ~(cr4::kSMAP | cr4::kPKE);
  const Access read{AccessOp::kRead, Privilege::kSupervisor};
  for (size_t i = 0; i < pages_.size(); ++i) {
    now_[i].reset();
    const NaiveResult r = naive.translate(plain, cpu.cpu, pages_[i], read, /*commit=*/false);
    // Level 0 is the page itself: that there is no memory does not keep a TLB from remembering
    // where.
    if (r.outcome == Outcome::kGuestFault || (!r.ok() && r.level != 0) || r.update_count != 0)
      continue;
    now_[i] =
        Cached{r.gpa.page_base(r.guest_size), r.guest_size, r.rights, r.key, r.global, r.dirty};
    add((r.global ? global_ : *current_)[i], *now_[i]);
  }
}

void History::drop(Lists& lists, Gva va) {
  for (size_t i = 0; i < pages_.size(); ++i) {
    // All pieces of a large page go with any of them.
    std::erase_if(lists[i], [&](const Cached& c) {
      return pages_[i].page_base(c.size) == va.page_base(c.size);
    });
  }
}

void History::invlpg(Gva va) {
  drop(*current_, va);
  drop(global_, va);
}

void History::load_cr3(uint16_t pcid, bool flush) {
  Lists& lists = by_pcid_[pcid];
  if (flush) lists.clear();
  lists.resize(pages_.size());
  current_ = &lists;
}

void History::invpcid(InvpcidType type, uint16_t pcid, Gva va) {
  switch (type) {
    case InvpcidType::kAllWithGlobals: flush_all(); return;
    case InvpcidType::kAll:
      for (auto& [id, lists] : by_pcid_) {
        for (auto& list : lists) list.clear();
      }
      return;
    case InvpcidType::kAddress:
    case InvpcidType::kContext: {
      const auto found = by_pcid_.find(pcid);
      if (found == by_pcid_.end()) return;
      if (type == InvpcidType::kAddress) return drop(found->second, va);
      for (auto& list : found->second) list.clear();
      return;
    }
  }
}

void History::flush_all() {
  for (auto& [id, lists] : by_pcid_) {
    for (auto& list : lists) list.clear();
  }
  for (auto& list : global_) list.clear();
}

}  // namespace gnomon::scenario

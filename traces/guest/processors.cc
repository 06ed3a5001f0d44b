// SPDX-License-Identifier: Apache-2.0
#include "traces/guest/processors.h"

#include "absl/strings/str_format.h"
#include "gnomon/x86/controls.h"

namespace gnomon::guest {

Processors::Processors(absl::Span<GuestCpu* const> cpus, PageTables& tables, GuestStats& stats,
                       bool pcid)
    : all_(cpus.size()), tables_(tables), stats_(stats), pcid_(pcid) {
  for (size_t i = 0; i < cpus.size(); ++i) all_[i].cpu = cpus[i];
}

void Processors::load_cr3(Processor& p, uint64_t value) {
  if (!p.cpu->load_cr3(value)) tables_.fail(absl::StrFormat("CR3 does not take 0x%x", value));
}

// PCID 0 is the kernel's own.
uint64_t Processors::cr3_of(const Processor& p, const Mm& mm) const {
  return mm.root.value() | (pcid_ ? p.pcid + 1 : 0);
}

void Processors::load(Processor& p, Mm* mm) {
  if (p.loaded == mm) return;
  p.loaded = mm;
  if (mm == nullptr) return load_cr3(p, kernel_root_.value());
  bool keep = false;
  if (pcid_) {
    const auto mine = std::find_if(p.pcids.begin(), p.pcids.end(),
                                   [&](const auto& use) { return use.context == mm->context; });
    if (mine != p.pcids.end()) {
      p.pcid = static_cast<unsigned>(mine - p.pcids.begin());
      keep = mine->generation == mm->generation;
    } else {
      p.pcid = p.next_pcid;
      p.next_pcid = (p.next_pcid + 1) % Processor::kPcids;
    }
    p.pcids[p.pcid] = {mm->context, mm->generation};
  }
  load_cr3(p, cr3_of(p, *mm) | (keep ? cr3::kNoFlush : 0));
}

void Processors::flush(Processor& self, Mm& mm, const FlushRange& range) {
  if (range.empty()) return;
  const bool everything = (range.end - range.start) / range.step > kSinglePages;
  ++mm.generation;
  for (Processor& p : all_) {
    if (p.loaded != &mm) continue;
    if (&p != &self) ++stats_[GuestStat::kShootdowns];
    if (pcid_) p.pcids[p.pcid].generation = mm.generation;
    if (everything) {
      load_cr3(p, cr3_of(p, mm));
      continue;
    }
    for (uint64_t va = range.start; va < range.end; va += range.step) p.cpu->invlpg(Gva(va));
  }
}

void Processors::flush_all(Processor& self, Mm& mm) {
  FlushRange all;
  all.add(0, kFrameBytes);
  all.end = kUserEnd;
  flush(self, mm, all);
}

void Processors::unload(Processor& self, Mm& mm) {
  for (Processor& p : all_) {
    if (p.loaded != &mm) continue;
    if (&p != &self) ++stats_[GuestStat::kShootdowns];
    load(p, nullptr);
  }
}

}  // namespace gnomon::guest

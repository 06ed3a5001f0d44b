// SPDX-License-Identifier: Apache-2.0
//
// What an operating system must do after a change of its tables, before it relies on it.
#include "tests/scenario/execution.h"
#include "tests/scenario/random.h"

namespace gnomon::scenario {

void Execution::flush_what_must_be() {
  for (unsigned i = 0; i < m_.cpus(); ++i) {
    History& history = histories_[i];
    bool flushed = false;
    for (size_t page = 0; page < history.pages().size(); ++page) {
      bool global = false;
      const bool stale = history.any_stale(page, [&](const Cached& c) {
        global |= c.global;
        return !history.now(page) || !c.covered_by(*history.now(page));
      });
      if (!stale) continue;
      // Any of the ways that cover it. Which one follows from what was done, not from its number,
      // so that leaving out other steps changes nothing here.
      const Action& a = program_.actions[step_];
      const Gva va = history.pages()[page];
      flush_one_way(m_.cpu(i), history, va, global,
                    Random(a.address ^ a.value ^ va.value() ^ i).below(8));
      flushed = true;
      ++stats_.forced_flushes;
    }
    if (flushed) history.observe(naive_, m_.cpu(i));
  }
}

void Execution::flush_one_way(VcpuState& cpu, History& history, Gva va, bool global, uint64_t way) {
  const uint16_t pcid = pcid_of(cpu.controls);
  const auto invpcid = [&](InvpcidType type) {
    m_.backend().invpcid(cpu, type, pcid, va);
    history.invpcid(type, pcid, va);
  };
  if (way == 0) return invpcid(InvpcidType::kAllWithGlobals);
  if (!global && way == 1) return invpcid(InvpcidType::kAddress);
  if (!global && way == 2) return invpcid(InvpcidType::kContext);
  if (!global && way == 3 && cpu.rules.mode != PagingMode::kPae &&
      m_.load_cr3(cpu, cpu.controls.cr3, false)) {
    return history.load_cr3(pcid, true);
  }
  m_.backend().invlpg(cpu, va);
  history.invlpg(va);
}

}  // namespace gnomon::scenario
